#include "rooms/service.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <ranges>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "rooms/sql.hpp"
#include "songs/encoding.hpp"

namespace ovation::rooms {
namespace {
constexpr std::int32_t minutes_default = 10;
constexpr std::int32_t minutes_max = 30 * 24 * 60;
constexpr std::int32_t reports_default = 50, reports_max = 200;

v1::Room room_of(const pg::rows& r, int i) {
    v1::Room out;
    out.set_id(r.number(i, 0));
    out.set_name(r.string(i, 1));
    out.set_channel_id(r.number(i, 2));
    out.set_channel_name(r.string(i, 3));
    out.set_theme(r.string(i, 4));
    out.set_singer_id(r.number(i, 5));
    out.set_singer_name(r.string(i, 6));
    out.set_show_id(r.number(i, 7));
    out.set_show_started_at_ms(r.number(i, 8));
    out.set_agent_name(r.string(i, 10));
    out.set_bump_price_coins(r.number(i, 11));
    out.set_bumps_per_show(static_cast<std::int32_t>(r.number(i, 12)));
    return out;
}

v1::Report report_of(const pg::rows& r, int i) {
    v1::Report out;
    out.set_id(r.number(i, 0));
    out.set_room_id(r.number(i, 1));
    out.set_room_name(r.string(i, 2));
    out.set_user_id(r.number(i, 3));
    out.set_name(r.string(i, 4));
    out.set_handle(r.string(i, 5));
    out.set_by_user_id(r.number(i, 6));
    out.set_by_name(r.string(i, 7));
    out.set_text(r.string(i, 8));
    out.set_at_ms(r.number(i, 9));
    out.set_closed_at_ms(r.number(i, 10));
    return out;
}

// Every word of the search is found in what the room's card shows.
bool names_all(const v1::Room& r, std::string_view words) {
    const auto shown = songs::search_text(r.name(), r.song_title()) + ' ' + songs::search_text(r.singer_name(), r.channel_name());
    return std::ranges::all_of(std::views::split(words, ' '), [&](const auto& word) { return shown.find(std::string_view(word.begin(), word.end())) != std::string::npos; });
}
}  // namespace

void service::register_with(rpc_table& table, access_gate& gate) {
    const std::string prefix = "/ovation.v1.RoomService/";
    bind_rpc(table, prefix + "CreateRoom", *this, &service::create);
    bind_rpc(table, prefix + "ListLiveRooms", *this, &service::list_live);
    bind_rpc(table, prefix + "ListMyRooms", *this, &service::list_mine);
    bind_rpc(table, prefix + "GetRoom", *this, &service::get);
    bind_rpc(table, prefix + "OpenShow", *this, &service::open_show);
    bind_rpc(table, prefix + "EndShow", *this, &service::end_show);
    bind_rpc(table, prefix + "NameHelper", *this, &service::name_helper);
    bind_rpc(table, prefix + "KickUser", *this, &service::kick);
    bind_rpc(table, prefix + "MuteUser", *this, &service::mute);
    bind_rpc(table, prefix + "SetBumps", *this, &service::set_bumps);
    bind_rpc(table, prefix + "ListReports", *this, &service::list_reports);
    bind_rpc(table, prefix + "CloseReport", *this, &service::close_report);
    bind_rpc(table, prefix + "ReportUser", *this, &service::report);
    gate.resolve(v1::RELATION_ROOM_SINGER, "room_id", access_gate::by_row(cores_, sql::is_room_singer));
    gate.resolve(v1::RELATION_ROOM_STAFF, "room_id", access_gate::by_row(cores_, sql::is_room_staff, v1::ROLE_OPS));
}

awaitable<result<v1::Room>> service::snapshot(room_id id) {
    co_return co_await ask(hall_.home_of(id), [](hall& h, room_id room) -> awaitable<result<v1::Room>> {
        OVATION_CO_TRY(auto r, co_await h.find(room));
        co_return r->snapshot();
    }(hall_, id));
}

awaitable<result<v1::Room>> service::create(granted, v1::CreateRoomRequest request) {
    const auto length = text::characters(request.name());
    if (!length || *length < 1 || *length > 60 || text::has_control(request.name())) co_return invalid("name", "a room's name has 1 to 60 characters.");
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::create_room, pg::with(request.channel_id(), request.name(), request.singer_handle(), std::int64_t{1} << v1::ROLE_SINGER)));
    if (r.empty()) co_return invalid("singer_handle", "there is no singer of this name.");
    co_return co_await snapshot(room_id(r.number(0, 0)));
}

awaitable<result<v1::ListRoomsResponse>> service::list_live(granted, v1::ListLiveRoomsRequest request) {
    if (request.search().size() > limits::search_bytes_max) co_return invalid("search", fmt::format("at most {} bytes.", limits::search_bytes_max));
    v1::ListRoomsResponse out;
    const auto wanted = songs::search_form(request.search());
    for (auto& r : co_await hall_.live_rooms())
        if (wanted.empty() || names_all(r, wanted)) *out.add_rooms() = std::move(r);
    co_return out;
}

awaitable<result<v1::ListRoomsResponse>> service::list_mine(granted who, v1::ListMyRoomsRequest) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::rooms_of, pg::with(who.user())));
    v1::ListRoomsResponse out;
    for (int i = 0; i < r.size(); ++i) *out.add_rooms() = room_of(r, i);
    co_return out;
}

awaitable<result<v1::Room>> service::get(granted, v1::GetRoomRequest request) {
    if (request.room_id() <= 0) co_return invalid("room_id", "must be the id of a room.");
    co_return co_await snapshot(room_id(request.room_id()));
}

awaitable<result<v1::Room>> service::open_show(granted, v1::OpenShowRequest request) {
    const room_id id(request.room_id());
    OVATION_CO_CHECK(co_await snapshot(id));
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::open_show, pg::with(id)));
    const auto show = r.number(0, 0);
    const auto at_ms = r.number(0, 1);
    log::info("rooms", "show_opened", "room_id={} show_id={}", id.value, show);
    co_return co_await ask(hall_.home_of(id), [](hall& h, room_id room, std::int64_t number, std::int64_t at) -> awaitable<result<v1::Room>> {
        OVATION_CO_TRY(auto here, co_await h.find(room));
        here->show_opened(number, at);
        co_return here->snapshot();
    }(hall_, id, show, at_ms));
}

awaitable<result<v1::Room>> service::end_show(granted, v1::EndShowRequest request) {
    const room_id id(request.room_id());
    co_return co_await ask(hall_.home_of(id), [](hall& h, room_id room) -> awaitable<result<v1::Room>> {
        OVATION_CO_TRY(auto here, co_await h.find(room));
        OVATION_CO_CHECK(co_await here->end_show());
        co_return here->snapshot();
    }(hall_, id));
}

awaitable<result<v1::Room>> service::name_helper(granted who, v1::NameHelperRequest request) {
    const room_id id(request.room_id());
    OVATION_CO_TRY(auto r, co_await cores_.db().query(request.remove() ? sql::remove_helper : sql::name_helper, pg::with(id, request.handle())));
    if (r.empty()) co_return invalid("handle", request.remove() ? "is not a helper of this room." : "there is nobody of this name.");
    const user_id user(r.number(0, 0));
    const auto name = r.string(0, 1);
    const auto kind = request.remove() ? v1::Moderation::KIND_HELPER_REMOVED : v1::Moderation::KIND_HELPER_NAMED;
    OVATION_CO_CHECK(co_await cores_.db().query(sql::write_history, pg::with(id, static_cast<int>(kind), user, name, "", 0)));
    co_return co_await ask(hall_.home_of(id), [](hall& h, room_id room, user_id helper, std::string shown, bool removed) -> awaitable<result<v1::Room>> {
        OVATION_CO_TRY(auto here, co_await h.find(room));
        here->helper_changed(helper, shown, removed);
        co_return here->snapshot();
    }(hall_, id, user, name, request.remove()));
}

awaitable<result<v1::Room>> service::set_bumps(granted who, v1::SetBumpsRequest request) {
    if (request.price_coins() < 0 || request.price_coins() > limits::bump_price_coins_max) co_return invalid("price_coins", "a bump costs 1 to 200000 coins; 0: none is sold.");
    if (request.per_show() < 0 || request.per_show() > limits::bumps_per_show_max) co_return invalid("per_show", "0 to 1000 bumps in a show.");
    const room_id id(request.room_id());
    OVATION_CO_CHECK(co_await snapshot(id));
    if (access_gate::of_house(who.who())) OVATION_CO_CHECK(access_gate::check_reason(request.reason()));
    OVATION_CO_CHECK(co_await cores_.db().query(access_gate::of_house(who.who()) ? sql::set_bumps_audited : sql::set_bumps, access_gate::of_house(who.who()) ? pg::with(id, request.price_coins(), request.per_show(), who.user(), request.reason()) : pg::with(id, request.price_coins(), request.per_show())));
    co_return co_await ask(hall_.home_of(id), [](hall& h, room_id room, std::int64_t price, std::int32_t per_show) -> awaitable<result<v1::Room>> {
        OVATION_CO_TRY(auto here, co_await h.find(room));
        here->set_bumps(price, per_show);
        co_return here->snapshot();
    }(hall_, id, request.price_coins(), request.per_show()));
}

awaitable<result<void>> service::restrain(restraint what) {
    if (what.minutes == 0) what.minutes = minutes_default;
    if (what.minutes < 1 || what.minutes > minutes_max) co_return invalid("minutes", "1 to 43200 (30 days).");
    if (what.reason.empty() || text::characters(what.reason).value_or(1000) > 200) co_return invalid("reason", "say why, in at most 200 characters.");
    if (what.user == what.by) co_return invalid("user_id", "is yourself.");
    OVATION_CO_TRY(auto about, co_await cores_.db().query(sql::about_person_in_room, pg::with(what.room, what.user)));
    if (about.empty()) co_return not_found("This person");
    // Nobody of the staff can be silenced by the staff but by ops and the singer; the singer by nobody here.
    if (about.boolean(0, 1)) co_return precondition("is_staff", "This is the room's own singer or agent.");
    const auto name = about.string(0, 0);
    const bool unmute = what.kind == v1::Moderation::KIND_UNMUTED;
    const auto stored_kind = what.kind == v1::Moderation::KIND_KICKED ? "kicked" : "muted";
    std::vector<pg::request> all;  // in one transaction
    if (what.by_house) {
        OVATION_CO_CHECK(access_gate::check_reason(what.reason));
        all.push_back({&sql::audit_restraint, pg::with(what.by, unmute ? "unmute_in_room" : stored_kind == std::string_view("kicked") ? "kick_from_room" : "mute_in_room", what.room, what.user, what.reason, stored_kind, unmute ? 0 : what.minutes)});
    }
    if (unmute) all.push_back({&sql::lift_restraint, pg::with(what.room, what.user, stored_kind)});
    else all.push_back({&sql::restrain, pg::with(what.room, what.user, stored_kind, what.minutes, what.reason, what.by)});
    all.push_back({&sql::write_history, pg::with(what.room, static_cast<int>(what.kind), what.user, name, what.reason, unmute ? 0 : what.minutes)});
    OVATION_CO_TRY(auto r, co_await cores_.db().run(std::move(all)));
    const auto until_ms = unmute ? 0 : r[what.by_house ? 1 : 0].number(0, 0);
    co_return co_await ask(hall_.home_of(what.room), [](hall& h, restraint w, std::string shown, std::int64_t until) -> awaitable<result<void>> {
        if (auto here = h.loaded(w.room)) here->restrained(w.user, shown, w.reason, until, w.kind);
        co_return result<void>{};
    }(hall_, what, name, until_ms));
}

awaitable<result<v1::KickUserResponse>> service::kick(granted who, v1::KickUserRequest request) {
    OVATION_CO_CHECK(co_await restrain({room_id(request.room_id()), user_id(request.user_id()), who.user(), request.reason(), request.minutes(), v1::Moderation::KIND_KICKED, access_gate::of_house(who.who())}));
    co_return v1::KickUserResponse();
}
awaitable<result<v1::MuteUserResponse>> service::mute(granted who, v1::MuteUserRequest request) {
    const auto kind = request.unmute() ? v1::Moderation::KIND_UNMUTED : v1::Moderation::KIND_MUTED;
    OVATION_CO_CHECK(co_await restrain({room_id(request.room_id()), user_id(request.user_id()), who.user(), request.unmute() && request.reason().empty() && !access_gate::of_house(who.who()) ? "unmuted" : request.reason(), request.minutes(), kind, access_gate::of_house(who.who())}));
    co_return v1::MuteUserResponse();
}

awaitable<result<v1::ListReportsResponse>> service::list_reports(granted, v1::ListReportsRequest request) {
    const auto size = request.limit() == 0 ? reports_default : request.limit();
    if (size < 1 || size > reports_max) co_return invalid("limit", "1 to 200 reports.");
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::list_reports, pg::with(request.open(), size)));
    v1::ListReportsResponse out;
    for (int i = 0; i < r.size(); ++i) *out.add_reports() = report_of(r, i);
    co_return out;
}
awaitable<result<v1::Report>> service::close_report(granted who, v1::CloseReportRequest request) {
    OVATION_CO_CHECK(co_await cores_.db().query(sql::close_report, pg::with(request.report_id(), who.user(), request.reason())));
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::get_report, pg::with(request.report_id())));
    if (r.empty()) co_return not_found("This report");
    co_return report_of(r, 0);
}

awaitable<result<v1::ReportUserResponse>> service::report(granted who, v1::ReportUserRequest request) {
    const auto length = text::characters(request.text());
    if (!length || *length < 1 || *length > 500) co_return invalid("text", "say what happened, in at most 500 characters.");
    auto r = co_await cores_.db().query(sql::report, pg::with(request.room_id(), request.user_id(), who.user(), request.text()));
    if (!r) {
        if (pg::sqlstate(r.error()) == "23503") co_return not_found("This room or person");
        co_return r.error();
    }
    v1::ReportUserResponse out;
    out.set_report_id(r->number(0, 0));
    co_return out;
}

}  // namespace ovation::rooms
