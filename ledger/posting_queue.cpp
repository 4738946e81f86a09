#include "ledger/posting_queue.hpp"

#include <algorithm>
#include <boost/asio/detached.hpp>
#include <charconv>
#include <unordered_set>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "ledger/internal/resident_writer.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {

const pg::statement set_zone{"set_zone", "select set_config('timezone', $1, false), set_config('synchronous_commit', 'on', false), set_config('plan_cache_mode', 'force_generic_plan', false)"};

}  // namespace

posting_queue::posting_queue(queue_options options, const clock_source& clock, metrics& registry)
    : options_(std::move(options)),
      clock_(clock),
      wake_(context_),
      tend_timer_(context_),
      writer_(std::make_unique<resident_writer>(clock, options_.writer)),
      posted_(registry.make_counter("ovation_ledger_posted_total", "Commands posted.")),
      gifts_(registry.make_counter("ovation_ledger_gifts_total", "Gifts posted.")),
      refused_(registry.make_counter("ovation_ledger_refused_total", "Commands refused by the ledger.")),
      replayed_(registry.make_counter("ovation_ledger_replayed_total", "Commands answered from their key.")),
      batches_(registry.make_counter("ovation_ledger_batches_total", "Group commits.")),
      commit_seconds_(registry.make_histogram("ovation_ledger_commit_seconds", "One group commit, send to COMMIT.")),
      depth_gauge_(registry.make_gauge("ovation_ledger_queue_depth", "Commands waiting for the next commit.")) {}

posting_queue::~posting_queue() {
    stop(std::chrono::seconds(1));
    if (thread_.joinable()) thread_.join();
}

void posting_queue::start() {
    thread_ = std::thread([this] {
        asio::co_spawn(context_, run(), [this](std::exception_ptr failure) {
            finished_ = true;
            if (!failure) return;
            try {
                std::rethrow_exception(failure);
            } catch (const std::exception& e) {
                log::error("ledger", "bug", "err={}", log::quoted(e.what()));
            }
        });
        asio::co_spawn(context_, tend(), asio::detached);
        context_.run();
    });
}

void posting_queue::stop(std::chrono::milliseconds limit) {
    {
        std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    if (!thread_.joinable()) return;
    asio::post(context_, [this] { wake_.cancel(); });
    const auto until = clock_.steady_ms() + limit.count();
    while (!finished_ && clock_.steady_ms() < until) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    context_.stop();
    thread_.join();
}

bool posting_queue::push(pending& p) {
    bool wake = false;
    {
        std::scoped_lock lock(mutex_);
        if (stopping_ || waiting_.size() >= options_.queue_max) return false;
        if (const auto* g = std::get_if<gift_command>(&p.command)) ++keys_[g->key];
        waiting_.push_back(std::move(p));
        depth_ = waiting_.size();
        wake = std::exchange(asleep_, false);
    }
    if (wake) asio::post(context_, [this] { wake_.cancel(); });
    return true;
}

void posting_queue::post(ledger::command command, std::function<void(result<outcome>)> answer) {
    pending p{std::move(command), std::move(answer), clock_.steady_ms()};
    if (push(p)) return;
    p.answer(exhausted("ledger_busy", "Too many gifts at once. Nothing was charged; try again in a moment.", 200));
}

awaitable<result<outcome>> posting_queue::submit(ledger::command command) {
    auto executor = co_await asio::this_coro::executor;
    auto initiate = [this, executor](auto handler, ledger::command moved) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        post(std::move(moved), [executor, shared](result<outcome> out) { asio::post(executor, [shared, out = std::move(out)]() mutable { (*shared)(std::move(out)); }); });
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(result<outcome>)>(initiate, asio::use_awaitable, std::move(command));
}
awaitable<result<outcome>> posting_queue::post(gift_command command) { return submit(std::move(command)); }
awaitable<result<outcome>> posting_queue::post(entry_command command) { return submit(std::move(command)); }

bool posting_queue::in_flight(const uuid& key) const {
    std::scoped_lock lock(mutex_);
    return keys_.contains(key);
}

awaitable<void> posting_queue::sleep(std::chrono::milliseconds time) {
    wake_.expires_after(time);
    co_await wake_.async_wait(use_tuple);
}

// What waits, less the twins of a key that is already in: they follow in the next batch and find it posted.
posting_queue::batch posting_queue::take() {
    batch out;
    std::scoped_lock lock(mutex_);
    std::unordered_set<uuid> seen;
    std::deque<pending> twins;
    while (!waiting_.empty() && out.size() < options_.batch_max) {
        auto p = std::move(waiting_.front());
        waiting_.pop_front();
        auto* g = std::get_if<gift_command>(&p.command);
        // Whose time is over while it waited is not paid any more; a known key is still answered.
        if (g && g->deadline_ms != 0 && clock_.steady_ms() >= g->deadline_ms) g->lookup_only = true;
        if (g && !seen.insert(g->key).second) twins.push_back(std::move(p));
        else out.push_back(std::move(p));
    }
    while (!twins.empty()) {
        waiting_.push_front(std::move(twins.back()));
        twins.pop_back();
    }
    depth_ = waiting_.size();
    depth_gauge_.set(static_cast<std::int64_t>(waiting_.size()));
    return out;
}

awaitable<void> posting_queue::run() {
    while (true) {
        bool stopping = false;
        {
            std::scoped_lock lock(mutex_);
            stopping = stopping_;
            if (waiting_.empty() && stopping_) break;
            asleep_ = waiting_.empty();
        }
        if (!connection_ || !connection_->usable() || epoch_ == 0) {
            if (!co_await become_writer()) {
                if (stopping) break;
                co_await sleep(std::chrono::milliseconds(200));
            }
            continue;
        }
        auto work = take();
        if (!work.empty()) {
            co_await post_batch(std::move(work));
            continue;
        }
        co_await sleep(std::chrono::milliseconds(writer_->unsaved() ? 20 : 500));
        bool quiet = false;
        {
            std::scoped_lock lock(mutex_);
            quiet = waiting_.empty();
        }
        // An idle writer brings its rows up to date, and keeps its lease.
        if (quiet && connection_->usable())
            if (auto saved = co_await writer_->save(*connection_); !saved) {
                log::warn("ledger", "lease_lost", "err={}", log::quoted(saved.error().in_full()));
                epoch_ = 0;
            }
    }
    for (int i = 0; i < 100 && connection_ && connection_->usable() && epoch_ != 0 && writer_->unsaved(); ++i)
        if (!co_await writer_->save(*connection_)) break;
    if (connection_ && connection_->usable() && epoch_ != 0)
        co_await connection_->query(sql::release_head, pg::with(epoch_.load()), std::chrono::seconds(2));
    epoch_ = 0;
    auto rest = take();
    refuse(rest, unavailable("shutting_down", "The server is restarting. Nothing was charged; try again in a moment."));
    if (connection_) connection_->close();
}

awaitable<bool> posting_queue::become_writer() {
    epoch_ = 0;
    connection_ = std::make_unique<pg::connection>(context_);
    if (auto opened = co_await connection_->open(options_.conninfo, std::chrono::seconds(5)); !opened) {
        log::warn("ledger", "no_database", "err={}", log::quoted(opened.error().message));
        // Whoever waits longer than this gets an honest answer.
        batch late;
        {
            std::scoped_lock lock(mutex_);
            while (!waiting_.empty() && clock_.steady_ms() - waiting_.front().since_ms > 5'000) {
                late.push_back(std::move(waiting_.front()));
                waiting_.pop_front();
            }
            depth_ = waiting_.size();
        }
        refuse(late, unavailable("ledger_unavailable", "Gifts cannot be paid at the moment. Nothing was charged; try again in a moment."));
        co_return false;
    }
    if (auto zone = co_await connection_->query(set_zone, pg::with(options_.time_zone), std::chrono::seconds(5)); !zone) {
        log::error("ledger", "bad_time_zone", "err={}", log::quoted(zone.error().message));
        co_return false;
    }
    auto taken = co_await connection_->query(sql::take_head, pg::with(options_.holder), std::chrono::seconds(5));
    if (!taken || taken->empty() || taken->null(0, 0)) {
        log::info("ledger", "waiting_for_head", "err={}", taken ? "\"another writer holds it\"" : log::quoted(taken.error().message));
        co_return false;
    }
    for (auto* observer : observers_) co_await observer->on_takeover(*connection_, entry_seq(taken->number(0, 1)));
    if (!connection_->usable()) co_return false;
    if (auto begun = co_await writer_->begin(*connection_, taken->number(0, 0)); !begun) {
        log::error("ledger", "not_begun", "err={}", log::quoted(begun.error().in_full()));
        connection_->close();
        co_return false;
    }
    epoch_ = taken->number(0, 0);
    log::info("ledger", "writer", "epoch={}", epoch_.load());
    co_return true;
}

// Beside posting: leaves ahead of need, and the key filters.
awaitable<void> posting_queue::tend() {
    std::int64_t tended_ms = 0;
    while (true) {
        {
            std::scoped_lock lock(mutex_);
            if (stopping_) co_return;
        }
        if (epoch_ != 0 && (writer_->wants_tending() || clock_.steady_ms() - tended_ms > 60'000)) {
            tended_ms = clock_.steady_ms();
            result<void> done;
            if (!tender_ || !tender_->usable()) {
                tender_ = std::make_unique<pg::connection>(context_);
                done = co_await tender_->open(options_.conninfo, std::chrono::seconds(5));
            }
            if (done) done = co_await writer_->tend(*tender_);
            knows_keys_ = done && writer_->knows_keys();
            if (!done) log::error("ledger", "leaves_not_tended", "err={}", log::quoted(done.error().in_full()));
            if (!done) tender_->close();
        }
        tend_timer_.expires_after(std::chrono::milliseconds(200));
        co_await tend_timer_.async_wait(use_tuple);
    }
}

namespace {
std::vector<const command*> commands_of(const auto& work) {
    std::vector<const command*> out;
    for (const auto& p : work) out.push_back(&p.command);
    return out;
}
const fault no_room = unavailable("ledger_unavailable", "Gifts cannot be paid at the moment. Nothing was charged; try again later.");
}  // namespace

awaitable<void> posting_queue::post_batch(batch work) {
    const auto commands = commands_of(work);
    for (int attempt = 0; attempt < 50; ++attempt) {
        const auto started = clock_.steady_ms();
        auto posted = writer_->set_based() ? co_await writer_->post_by_sets(*connection_, commands) : co_await writer_->post(*connection_, commands);
        if (posted) {
            commit_seconds_.observe(static_cast<double>(clock_.steady_ms() - started) / 1000.0);
            batches_.add();
            deliver(work, *posted);
            co_return;
        }
        const auto state = pg::sqlstate(posted.error());
        if (state == "OV002") {
            log::error("ledger", "fenced", "epoch={}", epoch_.load());
            epoch_ = 0;
            refuse(work, unavailable("not_the_writer", "Another server has taken over. Nothing was charged; try again in a moment."));
            co_return;
        }
        if (!state.empty()) {
            // PostgreSQL refused the batch and kept nothing of it.
            log::error("ledger", "batch_refused", "size={} err={}", work.size(), log::quoted(posted.error().in_full()));
            if (state.starts_with("53")) refuse(work, no_room);
            else co_await post_carefully(work);
            co_return;
        }
        // Unknown: the same batch again on a fresh connection; what was committed is then a replay.
        log::warn("ledger", "commit_unknown", "size={} err={}", work.size(), log::quoted(posted.error().in_full()));
        epoch_ = 0;
        for (int tries = 0; tries < 100 && epoch_ == 0; ++tries) {
            if (!co_await become_writer()) co_await sleep(std::chrono::milliseconds(200));
        }
        if (epoch_ == 0) break;
    }
    auto f = unavailable("unknown_outcome", "It is not known yet whether this was paid. Ask with the same key; do not send a new gift.");
    refuse(work, f);
}

// Finds the command that PostgreSQL cannot take: one by one, by the functions that trust no memory.
awaitable<void> posting_queue::post_carefully(batch& work) {
    for (auto& one : work) {
        batch single;
        single.push_back(std::move(one));
        result<outcomes> posted = internal_fault("");
        if (connection_->usable()) posted = co_await writer_->post_by_sets(*connection_, commands_of(single));
        else posted = unavailable("database_lost", "");
        if (posted) {
            deliver(single, *posted);
            continue;
        }
        log::error("ledger", "command_refused", "err={}", log::quoted(posted.error().in_full()));
        const auto state = pg::sqlstate(posted.error());
        if (state.empty()) refuse(single, unavailable("unknown_outcome", "It is not known yet whether this was paid. Ask with the same key; do not send a new gift."));
        else refuse(single, state.starts_with("53") ? no_room : internal_fault("The ledger could not take this. Nothing was charged."));
    }
    if (!connection_->usable()) epoch_ = 0;
    else if (auto begun = co_await writer_->begin(*connection_, epoch_); !begun) epoch_ = 0;
}

void posting_queue::deliver(batch& work, outcomes& answers) {
    std::vector<committed_gift> gifts;
    entry_seq head;
    for (std::size_t i = 0; i < work.size(); ++i) {
        if (!answers[i]) continue;
        auto& o = *answers[i];
        if (o.state == status::posted) posted_.add();
        else if (o.state == status::replayed) replayed_.add();
        else refused_.add();
        if (o.state != status::posted && o.state != status::replayed) continue;
        head = std::max(head, o.seq);
        if (o.state == status::posted && std::holds_alternative<gift_command>(work[i].command)) gifts_.add();
        if (const auto* g = std::get_if<gift_command>(&work[i].command)) gifts.push_back({o.seq, o.state == status::replayed, g, &o});
    }
    std::ranges::sort(gifts, {}, &committed_gift::seq);
    if (head) for (auto* observer : observers_) observer->on_commit(gifts, head);
    {
        std::scoped_lock lock(mutex_);
        for (auto& p : work)
            if (const auto* g = std::get_if<gift_command>(&p.command))
                if (auto at = keys_.find(g->key); at != keys_.end() && --at->second == 0) keys_.erase(at);
    }
    for (std::size_t i = 0; i < work.size(); ++i) work[i].answer(std::move(answers[i]));
}

void posting_queue::refuse(batch& work, const fault& why) {
    {
        std::scoped_lock lock(mutex_);
        for (auto& p : work)
            if (const auto* g = std::get_if<gift_command>(&p.command))
                if (auto at = keys_.find(g->key); at != keys_.end() && --at->second == 0) keys_.erase(at);
    }
    for (auto& p : work) p.answer(why);
}

}  // namespace ovation::ledger
