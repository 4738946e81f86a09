// PayoutService: what a party has earned, who is paid, and each payout from its request to the bank's answer. The rules stand in
// migrations/0021 (payments.move says which state follows which); here is who may do what, and what people are told.
#pragma once
#include "base/cores.hpp"
#include "base/metrics.hpp"
#include "base/rpc.hpp"
#include "identity/access_gate.hpp"
#include "ovation/v1/payout.pb.h"
#include "payments/steps.hpp"

namespace ovation::payments {

class payouts {
public:
    payouts(cores& all, core& home, steps& books, metrics& registry, std::string time_zone);
    void register_with(rpc_table& table, access_gate& gate);

    awaitable<result<v1::Earnings>> earnings(granted who, v1::GetEarningsRequest);
    awaitable<result<v1::Payee>> set_payee(granted who, v1::SetPayeeRequest request);
    awaitable<result<v1::Payout>> request(granted who, v1::RequestPayoutRequest request);
    awaitable<result<v1::Payout>> get(granted who, v1::GetPayoutRequest request);
    awaitable<result<v1::Payout>> cancel(granted who, v1::CancelPayoutRequest request);
    awaitable<result<v1::ListPayoutsResponse>> list(granted who, v1::ListPayoutsRequest request);
    awaitable<result<v1::ListPayeesResponse>> list_payees(granted who, v1::ListPayeesRequest);
    awaitable<result<v1::Payee>> verify_payee(granted who, v1::VerifyPayeeRequest request);
    awaitable<result<v1::Payout>> decide(granted who, v1::DecidePayoutRequest request);
    awaitable<result<v1::PayoutBatch>> submit(granted who, v1::SubmitPayoutsRequest request);
    awaitable<result<v1::PayoutBatch>> get_batch(granted who, v1::GetPayoutBatchRequest request);
    awaitable<result<v1::Payout>> settle(granted who, v1::SettlePayoutRequest request);

    // At the writer, on the home core: goes on with what was cut short, lets go what was held for a time, starts the monthly run.
    awaitable<result<void>> sweep();

private:
    struct mover {
        user_id actor;
        bool house = false;
        std::string reason;
    };
    // Books what is written down; what goes on by itself goes on: requested → risk_review, approved → tax_computed.
    awaitable<result<void>> advance(std::int64_t id);
    awaitable<result<void>> move(std::int64_t id, std::string from, std::string to, mover by);
    awaitable<result<std::vector<v1::Payout>>> read(std::int64_t id, user_id user, std::string state, int limit, bool steps_too);
    awaitable<result<v1::Payout>> one(std::int64_t id, bool whole);
    // Of these users; of nobody: those that wait for their verification.
    awaitable<result<std::vector<v1::Payee>>> payees(std::vector<std::int64_t> users, bool whole);
    awaitable<result<v1::PayoutBatch>> batch(std::int64_t id);
    cores& all_;
    core& home_;
    steps& books_;
    std::string time_zone_;
    gauge& waiting_;
};

}  // namespace ovation::payments
