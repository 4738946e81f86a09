// RoomService: rooms, shows and moderation by RPC. What concerns a loaded room is done on its home core.
#pragma once
#include "base/rpc.hpp"
#include "identity/access_gate.hpp"
#include "rooms/hall.hpp"

namespace ovation::rooms {

class service {
public:
    service(cores& all, hall& rooms) : cores_(all), hall_(rooms) {}
    void register_with(rpc_table& table, access_gate& gate);

    awaitable<result<v1::Room>> create(granted who, v1::CreateRoomRequest request);
    awaitable<result<v1::ListRoomsResponse>> list_live(granted who, v1::ListLiveRoomsRequest);
    awaitable<result<v1::ListRoomsResponse>> list_mine(granted who, v1::ListMyRoomsRequest);
    awaitable<result<v1::Room>> get(granted who, v1::GetRoomRequest request);
    awaitable<result<v1::Room>> open_show(granted who, v1::OpenShowRequest request);
    awaitable<result<v1::Room>> end_show(granted who, v1::EndShowRequest request);
    awaitable<result<v1::Room>> name_helper(granted who, v1::NameHelperRequest request);
    awaitable<result<v1::Room>> set_bumps(granted who, v1::SetBumpsRequest request);
    awaitable<result<v1::KickUserResponse>> kick(granted who, v1::KickUserRequest request);
    awaitable<result<v1::MuteUserResponse>> mute(granted who, v1::MuteUserRequest request);
    awaitable<result<v1::ListReportsResponse>> list_reports(granted who, v1::ListReportsRequest request);
    awaitable<result<v1::Report>> close_report(granted who, v1::CloseReportRequest request);
    awaitable<result<v1::ReportUserResponse>> report(granted who, v1::ReportUserRequest request);

private:
    struct restraint {
        room_id room;
        user_id user, by;
        std::string reason;
        std::int32_t minutes;
        v1::Moderation::Kind kind;
        bool by_house;  // ops or finance: it goes into the audit trail
    };
    awaitable<result<void>> restrain(restraint what);
    awaitable<result<v1::Room>> snapshot(room_id id);
    cores& cores_;
    hall& hall_;
};

}  // namespace ovation::rooms
