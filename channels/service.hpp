// ChannelService: agents' channels, contracts with singers, and the route that follows from them.
#pragma once
#include <atomic>

#include "base/cores.hpp"
#include "base/rpc.hpp"
#include "identity/access_gate.hpp"
#include "ledger/split.hpp"
#include "ovation/v1/channel.pb.h"

namespace ovation::channels {

class service {
public:
    service(cores& all, std::string time_zone, int vat_bp) : cores_(all), time_zone_(std::move(time_zone)), vat_bp_(vat_bp) {}
    void register_with(rpc_table& table, access_gate& gate);

    awaitable<result<v1::Channel>> create(granted who, v1::CreateChannelRequest request);
    awaitable<result<v1::ListMyChannelsResponse>> list_mine(granted who, v1::ListMyChannelsRequest);
    awaitable<result<v1::Channel>> get(granted who, v1::GetChannelRequest request);
    awaitable<result<v1::Contract>> offer(granted who, v1::OfferContractRequest request);
    awaitable<result<v1::Contract>> get_contract(granted who, v1::GetContractRequest request);
    awaitable<result<v1::Contract>> decide(granted who, v1::DecideContractRequest request);
    awaitable<result<v1::Contract>> end_contract(granted who, v1::EndContractRequest request);
    awaitable<result<v1::ListContractsResponse>> list_contracts(granted who, v1::ListContractsRequest request);
    awaitable<result<v1::ListContractsResponse>> list_my_contracts(granted who, v1::ListMyContractsRequest);
    awaitable<result<v1::GetChannelRevenueResponse>> revenue(granted who, v1::GetChannelRevenueRequest request);

    // Gifts to this singer in this channel, as of today: precedence contract > channel > preset.
    awaitable<result<route_id>> route_of(channel_id channel, user_id singer, bool licensed_song);

    // Moves whenever a contract was decided or ended here: what was made of routes before may hold no more.
    [[nodiscard]] std::uint64_t changes() const { return changes_; }

private:
    awaitable<result<v1::Contract>> contract(std::int64_t id);
    result<v1::Contract> contract_of(const pg::rows& r, int row) const;
    cores& cores_;
    std::string time_zone_;
    int vat_bp_;
    std::atomic<std::uint64_t> changes_ = 0;
};

}  // namespace ovation::channels
