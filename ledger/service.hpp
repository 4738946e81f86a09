// LedgerService: wallets, statements, health.
#pragma once
#include <optional>

#include "base/cores.hpp"
#include "base/rpc.hpp"
#include "ledger/posting_queue.hpp"
#include "ledger/split.hpp"
#include "ovation/v1/ledger.pb.h"

namespace ovation::ledger {

v1::SplitRule to_proto(const split_rule& rule);

class service {
public:
    // `seal_folder`: where this server's seals lie; empty: there are none.
    service(cores& all, posting_queue& queue, std::string time_zone, std::string seal_folder = {}) : cores_(all), queue_(queue), time_zone_(std::move(time_zone)), seal_folder_(std::move(seal_folder)) {}
    void register_with(rpc_table& table);

    awaitable<result<v1::GetWalletResponse>> get_wallet(granted who, v1::GetWalletRequest);
    awaitable<result<v1::ListPostingsResponse>> list_postings(granted who, v1::ListPostingsRequest request);
    awaitable<result<v1::ListPostingsResponse>> list_account_postings(granted who, v1::ListAccountPostingsRequest request);
    awaitable<result<v1::ProveEntryResponse>> prove(granted who, v1::ProveEntryRequest request);
    awaitable<result<v1::GetWalletResponse>> set_daily_limit(granted who, v1::SetDailyLimitRequest request);
    awaitable<result<v1::GetLedgerHealthResponse>> get_health(granted who, v1::GetLedgerHealthRequest);

    awaitable<result<v1::GetWalletResponse>> wallet_of(user_id user);

private:
    struct question {
        std::string account;
        int page_size = 0;
        std::string page_token;
        std::int64_t as_of_ms = 0;
        bool by_effective = false, to_party = false;
    };
    awaitable<result<std::optional<v1::ListPostingsResponse>>> statement(question q);
    cores& cores_;
    posting_queue& queue_;
    std::string time_zone_, seal_folder_;
};

}  // namespace ovation::ledger
