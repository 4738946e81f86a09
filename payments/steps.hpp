// Posts what payouts, cases and write-offs wrote down: a change of state and its entry are one row of payments.step, made in one
// transaction; the entry follows under the row's own key, so it is posted once whatever breaks in between. One poster for each
// subject, and only at the ledger's writer; other servers wait for it.
#pragma once
#include <set>
#include <string>
#include <utility>

#include "base/cores.hpp"
#include "ledger/posting_queue.hpp"

namespace ovation::payments {

class steps {
public:
    steps(core& home, ledger::posting_queue& queue) : home_(home), queue_(queue) {}
    steps(const steps&) = delete;
    steps& operator=(const steps&) = delete;

    // From any core: until all steps of the subject (payout 7, chargeback 3) are in the books. A payout that the earnings do not
    // suffice for is forgotten and refused; the legs of a case, or of bonus coins that
    // expire, are counted anew, as the books then stand.
    awaitable<result<void>> settle(std::string subject, std::int64_t id);
    // On the home core: all that is not posted yet; how many subjects are left with something.
    awaitable<result<std::int64_t>> sweep();

private:
    awaitable<result<void>> at_home(std::string subject, std::int64_t id);
    awaitable<result<bool>> post_next(std::string subject, std::int64_t id);  // whether there was one
    core& home_;
    ledger::posting_queue& queue_;
    std::set<std::pair<std::string, std::int64_t>> busy_;  // of the home core
};

}  // namespace ovation::payments
