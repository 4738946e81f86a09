// PaymentService: coin packs and top-ups. An order is paid when the provider's signed notification arrives: raw bytes
// stored first, unique by (provider, event), amount and currency checked, one ledger entry, exactly once.
#pragma once
#include "base/cores.hpp"
#include "base/limits.hpp"
#include "base/rpc.hpp"
#include "base/worker_pool.hpp"
#include "identity/access_gate.hpp"
#include "ledger/posting_queue.hpp"
#include "ovation/v1/payment.pb.h"
#include "payments/sandbox.hpp"
#include "payments/steps.hpp"

namespace ovation::payments {

struct service_parts {
    cores& all;
    ledger::posting_queue& queue;
    const clock_source& clock;
    std::string sandbox_key;  // empty: the sandbox does not exist
    double rate_factor = 1;
    std::shared_ptr<const payments::providers> ways{};  // the others, by name
    std::string bank_account{};                         // empty: no bank transfers
    steps* books = nullptr;
    worker_pool& workers;  // read the files
};

class service {
public:
    explicit service(service_parts parts);
    void register_with(rpc_table& table, access_gate& gate);

    awaitable<result<v1::ListCoinPacksResponse>> list_packs(granted who, v1::ListCoinPacksRequest);
    awaitable<result<v1::TopUp>> create(granted who, v1::CreateTopUpRequest request);
    awaitable<result<v1::TopUp>> get(granted who, v1::GetTopUpRequest request);
    awaitable<result<v1::TopUp>> pay_sandbox(granted who, v1::PaySandboxOrderRequest request);

    awaitable<result<v1::Bonus>> grant_bonus(granted who, v1::GrantBonusRequest request);
    awaitable<result<v1::ListBonusResponse>> list_bonus(granted who, v1::ListBonusRequest);
    awaitable<result<v1::ImportBankFileResponse>> import_bank_file(granted who, v1::ImportBankFileRequest request);
    awaitable<result<v1::ImportSettlementResponse>> import_settlement(granted who, v1::ImportSettlementRequest request);

    awaitable<result<v1::ListRefundsResponse>> list_refunds(granted who, v1::ListRefundsRequest request);
    awaitable<result<v1::Refund>> settle_refund(granted who, v1::SettleRefundRequest request);

    // At the writer: asks the providers after orders that nobody has told us about, and nothing is given up before that; bonus coins whose
    // time is over go back; refunds are sent.
    awaitable<result<void>> sweep();

    // The provider's notification as it came; what the provider then wants to hear: it may be forgotten there.
    awaitable<result<std::string_view>> notified(std::string name, std::function<std::string_view(const std::string&)> header, std::string body);

private:
    awaitable<result<v1::TopUp>> order(order_id id);
    [[nodiscard]] const provider* way(std::string_view name) const;
    awaitable<result<void>> credit(std::string name, notification n);
    // Asks the order's provider, and books or ends it by the answer.
    awaitable<result<void>> ask_after(std::int64_t order);
    awaitable<result<void>> send_refund(std::int64_t id);
    awaitable<result<void>> send_refunds();
    service_parts p_;
    std::unique_ptr<provider> sandbox_;
    rate_limiter<user_id> orders_;
};

}  // namespace ovation::payments
