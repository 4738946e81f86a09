// What goes on without anybody asking, at the ledger's writer: each second what was written down and not posted (by a server that
// fell, or is not the writer), each half minute payouts that wait, the monthly run, deadlines.
#pragma once
#include <atomic>

#include "payments/cases.hpp"
#include "payments/payouts.hpp"
#include "payments/service.hpp"

namespace ovation::payments {

class back_office {
public:
    back_office(cores& all, core& home, ledger::posting_queue& queue, metrics& registry, std::string time_zone)
        : home_(home), queue_(queue), books_(home, queue), payouts_(all, home, books_, registry, std::move(time_zone)), cases_(all, home, books_, registry), wake_(home.context),
          unbooked_(registry.make_gauge("ovation_steps_unbooked", "Changes of payouts, cases and the like that are written down and not yet in the books; those that stay need a person.")) {}
    void register_with(rpc_table& table, access_gate& gate) {
        payouts_.register_with(table, gate);
        cases_.register_with(table, gate);
    }
    steps& books() { return books_; }
    void also(service& top_ups) { top_ups_ = &top_ups; }
    // On the home core; ends after stop().
    awaitable<void> run();
    void stop();

private:
    core& home_;
    ledger::posting_queue& queue_;
    steps books_;
    payouts payouts_;
    cases cases_;
    service* top_ups_ = nullptr;
    asio::steady_timer wake_;
    gauge& unbooked_;
    std::atomic<bool> stopping_{false};
};

}  // namespace ovation::payments
