#include "channels/service.hpp"

#include <algorithm>
#include <chrono>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "channels/sql.hpp"
#include "ledger/routes.hpp"
#include "ledger/service.hpp"

namespace ovation::channels {
namespace {

v1::Channel channel_of(const pg::rows& r, int i) {
    v1::Channel out;
    out.set_id(r.number(i, 0));
    out.set_name(r.string(i, 1));
    out.set_theme(r.string(i, 2));
    out.set_agent_id(r.number(i, 3));
    out.set_agent_name(r.string(i, 4));
    out.set_preset(r.string(i, 5));
    return out;
}

v1::ContractState state_of(std::string_view text) {
    if (text == "accepted") return v1::CONTRACT_STATE_ACCEPTED;
    if (text == "declined") return v1::CONTRACT_STATE_DECLINED;
    if (text == "ended") return v1::CONTRACT_STATE_ENDED;
    return v1::CONTRACT_STATE_OFFERED;
}

result<void> check_date(std::string_view field, std::string_view t) {
    bool digits = t.size() == 10 && t[4] == '-' && t[7] == '-';
    for (std::size_t i = 0; digits && i < t.size(); ++i) digits = i == 4 || i == 7 || (t[i] >= '0' && t[i] <= '9');
    if (!digits) return invalid(field, "a day as YYYY-MM-DD.");
    const auto number = [&](std::size_t at, std::size_t size) { return std::stoi(std::string(t.substr(at, size))); };
    const std::chrono::year_month_day day{std::chrono::year(number(0, 4)), std::chrono::month(static_cast<unsigned>(number(5, 2))), std::chrono::day(static_cast<unsigned>(number(8, 2)))};
    if (!day.ok() || number(0, 4) == 0) return invalid(field, "this day does not exist in the calendar.");
    return {};
}

// What PostgreSQL refused: an overlap, an end before the start.
fault contract_refusal(const fault& f) {
    const auto state = pg::sqlstate(f);
    if (state == "23P01") return precondition("contract_overlaps", "There is already an accepted contract with this singer for some of these days.");
    if (state == "23514") return invalid("to_date", "the end must lie after the start.");
    return f;
}
}  // namespace

void service::register_with(rpc_table& table, access_gate& gate) {
    const std::string prefix = "/ovation.v1.ChannelService/";
    bind_rpc(table, prefix + "CreateChannel", *this, &service::create);
    bind_rpc(table, prefix + "ListMyChannels", *this, &service::list_mine);
    bind_rpc(table, prefix + "GetChannel", *this, &service::get);
    bind_rpc(table, prefix + "OfferContract", *this, &service::offer);
    bind_rpc(table, prefix + "GetContract", *this, &service::get_contract);
    bind_rpc(table, prefix + "DecideContract", *this, &service::decide);
    bind_rpc(table, prefix + "EndContract", *this, &service::end_contract);
    bind_rpc(table, prefix + "ListContracts", *this, &service::list_contracts);
    bind_rpc(table, prefix + "ListMyContracts", *this, &service::list_my_contracts);
    bind_rpc(table, prefix + "GetChannelRevenue", *this, &service::revenue);
    gate.resolve(v1::RELATION_CHANNEL_AGENT, "channel_id", access_gate::by_row(cores_, sql::is_channel_agent));
    gate.resolve(v1::RELATION_CONTRACT_PARTY, "contract_id", access_gate::by_row(cores_, sql::is_contract_party));
    gate.resolve(v1::RELATION_CONTRACT_SINGER, "contract_id", access_gate::by_row(cores_, sql::is_contract_singer));
}

awaitable<result<v1::Channel>> service::create(granted who, v1::CreateChannelRequest request) {
    const auto length = text::characters(request.name());
    if (!length || *length < 1 || *length > 60 || text::has_control(request.name())) co_return invalid("name", "a channel's name has 1 to 60 characters.");
    if (!request.theme().empty() && std::ranges::find(limits::scenes, request.theme()) == limits::scenes.end()) co_return invalid("theme", "one of dusk, garden, lanterns, sea, snow.");
    const auto preset = request.preset().empty() ? std::string("ovation-default") : request.preset();
    if (std::ranges::find(ledger::preset_names(), preset) == ledger::preset_names().end()) co_return invalid("preset", "there is no such split preset.");
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::create_channel, pg::with(who.user(), request.name(), request.theme().empty() ? std::string("dusk") : request.theme(), preset)));
    if (r.empty()) {
        fault f = invalid("name", "this name is taken. Choose another one.");
        f.kind = code::already_exists;
        f.reason = "name_taken";
        co_return f;
    }
    OVATION_CO_TRY(auto made, co_await cores_.db().query(sql::get_channel, pg::with(r.number(0, 0))));
    co_return channel_of(made, 0);
}

awaitable<result<v1::ListMyChannelsResponse>> service::list_mine(granted who, v1::ListMyChannelsRequest) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::channels_of, pg::with(who.user())));
    v1::ListMyChannelsResponse out;
    for (int i = 0; i < r.size(); ++i) *out.add_channels() = channel_of(r, i);
    co_return out;
}

awaitable<result<v1::Channel>> service::get(granted, v1::GetChannelRequest request) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::get_channel, pg::with(request.channel_id())));
    if (r.empty()) co_return not_found("This channel");
    co_return channel_of(r, 0);
}

result<v1::Contract> service::contract_of(const pg::rows& r, int i) const {
    v1::Contract out;
    out.set_id(r.number(i, 0));
    out.set_channel_id(r.number(i, 1));
    out.set_singer_id(r.number(i, 2));
    out.set_singer_name(r.string(i, 3));
    out.set_agent_bp(static_cast<int>(r.number(i, 4)));
    out.set_from_date(r.string(i, 5));
    out.set_to_date(r.string(i, 6));
    out.set_state(state_of(r.text(i, 7)));
    out.set_decided_at_ms(r.number(i, 8));
    out.set_channel_name(r.string(i, 10));
    // What it does to the singer's share: with and without this contract, on a licensed song.
    ledger::split_question q;
    q.licensed_song = true;
    q.vat_bp = vat_bp_;
    if (r.text(i, 9) != "ovation-default") q.channel = ledger::policy{"channel", out.channel_id(), r.string(i, 9), std::nullopt};
    auto without = ledger::resolve(q);
    if (!without) return without.error();
    q.contract = ledger::policy{"contract", out.id(), "", out.agent_bp()};
    auto with = ledger::resolve(q);
    if (!with) return with.error();
    *out.mutable_split_with() = ledger::to_proto(*with);
    *out.mutable_split_without() = ledger::to_proto(*without);
    return out;
}

awaitable<result<v1::Contract>> service::contract(std::int64_t id) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::get_contract, pg::with(id, time_zone_)));
    if (r.empty()) co_return not_found("This contract");
    co_return contract_of(r, 0);
}

awaitable<result<v1::Contract>> service::offer(granted, v1::OfferContractRequest request) {
    if (request.agent_bp() < 0 || request.agent_bp() > ledger::agent_rate_max_bp) co_return invalid("agent_bp", "an agent's rate lies between 0 and 3000 basis points (30 %).");
    OVATION_CO_CHECK(check_date("from_date", request.from_date()));
    if (!request.to_date().empty()) OVATION_CO_CHECK(check_date("to_date", request.to_date()));
    OVATION_CO_TRY(auto channel, co_await cores_.db().query(sql::get_channel, pg::with(request.channel_id())));
    ledger::split_question q;
    q.channel = ledger::policy{"channel", request.channel_id(), channel.string(0, 5), std::nullopt};
    q.contract = ledger::policy{"contract", 0, "", request.agent_bp()};
    if (auto fits = ledger::resolve(q); !fits) co_return fits.error();
    pg::params p = pg::with(request.channel_id(), request.singer_handle(), request.agent_bp(), request.from_date());
    if (request.to_date().empty()) p.add_null(); else p.add(request.to_date());
    p.add(std::int64_t{1} << v1::ROLE_SINGER);
    auto r = co_await cores_.db().query(sql::offer_contract, std::move(p));
    if (!r) co_return contract_refusal(r.error());
    if (r->empty()) co_return invalid("singer_handle", "there is no singer of this name.");
    co_return co_await contract(r->number(0, 0));
}

awaitable<result<v1::Contract>> service::get_contract(granted, v1::GetContractRequest request) { co_return co_await contract(request.contract_id()); }

awaitable<result<v1::Contract>> service::decide(granted, v1::DecideContractRequest request) {
    auto r = co_await cores_.db().query(sql::decide_contract, pg::with(request.contract_id(), request.accept()));
    ++changes_;
    if (!r) co_return contract_refusal(r.error());
    OVATION_CO_TRY(auto now, co_await contract(request.contract_id()));
    const auto wanted = request.accept() ? v1::CONTRACT_STATE_ACCEPTED : v1::CONTRACT_STATE_DECLINED;
    if (r->empty() && now.state() != wanted) co_return precondition("already_decided", "This contract has been decided already.");
    co_return now;
}

awaitable<result<v1::Contract>> service::end_contract(granted, v1::EndContractRequest request) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::end_contract, pg::with(request.contract_id(), time_zone_)));
    ++changes_;
    OVATION_CO_TRY(auto now, co_await contract(request.contract_id()));
    if (r.empty() && now.state() == v1::CONTRACT_STATE_DECLINED) co_return precondition("already_decided", "This contract has been decided already.");
    co_return now;
}

awaitable<result<v1::ListContractsResponse>> service::list_contracts(granted, v1::ListContractsRequest request) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::contracts_of_channel, pg::with(request.channel_id(), time_zone_)));
    v1::ListContractsResponse out;
    for (int i = 0; i < r.size(); ++i) {
        OVATION_CO_TRY(auto c, contract_of(r, i));
        *out.add_contracts() = std::move(c);
    }
    co_return out;
}
awaitable<result<v1::ListContractsResponse>> service::list_my_contracts(granted who, v1::ListMyContractsRequest) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::contracts_of_singer, pg::with(who.user(), time_zone_)));
    v1::ListContractsResponse out;
    for (int i = 0; i < r.size(); ++i) {
        OVATION_CO_TRY(auto c, contract_of(r, i));
        *out.add_contracts() = std::move(c);
    }
    co_return out;
}

awaitable<result<v1::GetChannelRevenueResponse>> service::revenue(granted, v1::GetChannelRevenueRequest request) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::channel_revenue, pg::with(request.channel_id())));
    v1::GetChannelRevenueResponse out;
    for (int i = 0; i < r.size(); ++i) {
        auto& s = *out.add_singers();
        s.set_singer_id(r.number(i, 0));
        s.set_name(r.string(i, 1));
        s.set_gifts(r.number(i, 2));
        s.set_coins(r.number(i, 3));
        s.set_agent_micros(r.number(i, 4));
        s.set_singer_micros(r.number(i, 5));
        out.set_gifts(out.gifts() + s.gifts());
        out.set_coins(out.coins() + s.coins());
        out.set_agent_micros(out.agent_micros() + s.agent_micros());
    }
    co_return out;
}

awaitable<result<route_id>> service::route_of(channel_id channel, user_id singer, bool licensed_song) {
    ledger::split_question q;
    q.licensed_song = licensed_song;
    q.vat_bp = vat_bp_;
    if (!channel) {  // sung alone: no channel, no agent
        OVATION_CO_TRY(auto plain, ledger::resolve(q));
        co_return co_await ledger::intern_route(cores_.db(), std::move(plain), {singer, {}, {}});
    }
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::contract_today, pg::with(channel, singer, time_zone_)));
    if (r.empty()) co_return not_found("This channel");
    if (r.text(0, 1) != "ovation-default") q.channel = ledger::policy{"channel", channel.value, r.string(0, 1), std::nullopt};
    user_id agent;
    if (!r.null(0, 2)) {
        q.contract = ledger::policy{"contract", r.number(0, 2), "", static_cast<int>(r.number(0, 3))};
        agent = user_id(r.number(0, 0));
    }
    OVATION_CO_TRY(auto rule, ledger::resolve(q));
    co_return co_await ledger::intern_route(cores_.db(), std::move(rule), {singer, agent, channel});
}

}  // namespace ovation::channels
