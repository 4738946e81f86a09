// The one queue through which everything is posted, and its group commit: a batch is whatever arrived and was judged while
// the last commit ran, at most 4 000. It has a thread, a loop and a connection of its own. Nothing is acknowledged before COMMIT;
// a doubtful COMMIT is resolved by sending the same batch again: its keys are then known. Posting itself is the resident writer's.
#pragma once
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <variant>

#include "base/asio.hpp"
#include "base/clock.hpp"
#include "base/metrics.hpp"
#include "base/pg.hpp"
#include "ledger/command.hpp"

namespace ovation::ledger {

class resident_writer;
using outcomes = std::vector<result<outcome>>;

// Of ledger/internal/resident_writer.hpp.
struct writer_options {
    std::size_t wallets_max = 200'000;   // in memory; only saved ones are let go
    std::size_t copy_from = 150;         // gifts of a batch from which on it goes as COPY
    std::int64_t lag_ms = 900;           // an unsaved row is saved within this time while batches go,
    std::int64_t lag_gifts = 150'000;    // or within so many gifts
    bool set_based = false;              // post by the set-based functions only: the oracle
};

struct queue_options {
    std::string conninfo;
    std::string holder;              // in ledger.head; of a server that takes others' commands: its address, http(s)://…
    std::string time_zone = "Asia/Shanghai";  // of the day of spend limits
    std::size_t queue_max = 20'000;
    std::size_t batch_max = 4'000;
    writer_options writer{};
};

class posting_queue {
public:
    posting_queue(queue_options options, const clock_source& clock, metrics& registry);
    ~posting_queue();
    posting_queue(const posting_queue&) = delete;
    posting_queue& operator=(const posting_queue&) = delete;

    void observe(commit_observer& observer) { observers_.push_back(&observer); }
    // Without one, commands are refused while another server writes.
    void forward_by(forwarder& by) { forwarder_ = &by; }
    // Starts the thread; becomes the writer as soon as the lease allows.
    void start();
    // Takes no new commands, posts what waits, gives the head back. Blocks at most `limit`.
    void stop(std::chrono::milliseconds limit);

    // From any thread; resumes on the caller's executor. A fault means: not posted (queue full, no writer), unless
    // pg::is_unknown says that it may have been.
    awaitable<result<outcome>> post(gift_command command);
    awaitable<result<outcome>> post(entry_command command);

    // The same without a coroutine: `answer` is called on the ledger's thread and must not block.
    void post(ledger::command command, std::function<void(result<outcome>)> answer);

    // Refused, not forwarded, unless this server writes.
    void post_here(ledger::command command, std::function<void(result<outcome>)> answer);
    // Address of the server that writes, where it is another one that takes commands; else empty.
    [[nodiscard]] std::string writer_elsewhere() const;

    // done / in flight, for GetGiftSend.
    [[nodiscard]] bool in_flight(const uuid& key) const;
    [[nodiscard]] bool is_writer() const { return epoch_ != 0; }
    // The writer knows the keys of every leaf that may hold a new one; until then it asks PostgreSQL for each.
    [[nodiscard]] bool knows_keys() const { return epoch_ != 0 && knows_keys_; }
    [[nodiscard]] std::int64_t epoch() const { return epoch_; }
    [[nodiscard]] std::size_t depth() const { return depth_; }

private:
    struct pending {
        ledger::command command;
        std::function<void(result<outcome>)> answer;
        std::int64_t since_ms = 0;
        int tries = 0;
        bool unknown = false;  // it may be committed: nobody is told that nothing was charged, until its key was looked up
    };
    // Commands with what they were judged to be.
    struct batch {
        std::vector<pending> commands;
        outcomes answers;
    };

    awaitable<result<outcome>> submit(ledger::command command);
    bool push(pending& p);  // takes it, unless the queue is full
    awaitable<bool> connect();
    awaitable<void> stand_by(const pg::rows& head);
    void spawn(awaitable<void> body, std::function<void()> ended);
    awaitable<void> run();
    awaitable<bool> become_writer();
    awaitable<bool> judge_more();   // whether there was anything
    void launch();
    awaitable<void> fly();
    awaitable<void> land();
    awaitable<void> rest();
    awaitable<void> post_by_sets(std::vector<pending> work);
    awaitable<void> post_carefully(std::vector<pending> work);
    awaitable<void> save();
    awaitable<void> tend();
    std::vector<pending> take(std::size_t most);
    void put_back(std::vector<pending> work);
    void done_with(const std::vector<pending>& work);  // nothing of it is under way here any more
    void not_known(pending p);
    void deliver(std::vector<pending>& work, outcomes& answers);
    void refuse(std::vector<pending>& work, const fault& why);
    void forget_keys(const std::vector<pending>& work);
    awaitable<void> sleep(std::chrono::milliseconds time);

    queue_options options_;
    const clock_source& clock_;
    std::vector<commit_observer*> observers_;
    forwarder* forwarder_ = nullptr;
    asio::io_context context_{1};
    asio::steady_timer wake_, tend_timer_, saved_;
    std::unique_ptr<pg::connection> connection_, reader_, tender_;
    std::shared_ptr<pg::connection> saver_;  // of the checkpoint's rows
    std::unique_ptr<resident_writer> writer_;
    std::thread thread_;
    batch open_, flying_;                    // being judged; being committed
    bool in_flight_ = false, landed_ = false;
    result<void> flight_;
    std::vector<pending> unknown_;           // of a commit whose answer was lost: known again once the head is ours
    boost::unordered_flat_set<uuid, std::hash<uuid>> on_the_way_;  // keys in open_ and flying_: their twins wait
    std::unordered_set<std::string> entries_on_the_way_;
    std::deque<pending> twins_;
    int lost_heads_ = 0;
    bool standing_by_ = false;               // another server writes; the connections are open
    bool careful_ = false;                   // PostgreSQL refused a question: the next ones go one by one

    mutable std::mutex mutex_;  // guards what stands below it, to stopping_
    std::deque<pending> waiting_;
    boost::unordered_flat_map<uuid, int, std::hash<uuid>> keys_;
    std::string elsewhere_;
    bool asleep_ = false;
    bool stopping_ = false;
    std::atomic<std::int64_t> epoch_{0};
    std::atomic<std::size_t> depth_{0};
    std::atomic<bool> finished_{false};
    std::atomic<bool> knows_keys_{false};
    std::atomic<bool> is_elsewhere_{false};  // elsewhere_ is not empty

    counter& posted_;
    counter& gifts_;
    counter& refused_;
    counter& replayed_;
    counter& batches_;
    histogram& commit_seconds_;
    gauge& depth_gauge_;
    gauge& keys_gauge_;
};

}  // namespace ovation::ledger
