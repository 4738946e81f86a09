// PaymentService: coin packs and top-ups. An order is paid when the provider's signed notification arrives: raw bytes
// stored first, unique by (provider, event), amount and currency checked, one ledger entry, exactly once.
#pragma once
#include "base/cores.hpp"
#include "base/limits.hpp"
#include "base/rpc.hpp"
#include "identity/access_gate.hpp"
#include "ledger/posting_queue.hpp"
#include "ovation/v1/payment.pb.h"
#include "payments/sandbox.hpp"

namespace ovation::payments {

struct service_parts {
    cores& all;
    ledger::posting_queue& queue;
    const clock_source& clock;
    std::string sandbox_key;  // empty: the sandbox does not exist
    double rate_factor = 1;
};

class service {
public:
    explicit service(service_parts parts) : p_(std::move(parts)), orders_(p_.clock, limits::top_ups_per_user.times(p_.rate_factor)) {}
    void register_with(rpc_table& table, access_gate& gate);

    awaitable<result<v1::ListCoinPacksResponse>> list_packs(granted who, v1::ListCoinPacksRequest);
    awaitable<result<v1::TopUp>> create(granted who, v1::CreateTopUpRequest request);
    awaitable<result<v1::TopUp>> get(granted who, v1::GetTopUpRequest request);
    awaitable<result<v1::TopUp>> pay_sandbox(granted who, v1::PaySandboxOrderRequest request);

    // The provider's notification as it came. ok: it may be forgotten by the provider.
    awaitable<result<void>> notified(std::string provider, sandbox::signed_headers headers, std::string body);

private:
    awaitable<result<v1::TopUp>> order(order_id id);
    awaitable<result<void>> credit(const sandbox::notification& n);
    service_parts p_;
    rate_limiter<user_id> orders_;
};

}  // namespace ovation::payments
