#include "ledger/posting_queue.hpp"

#include <algorithm>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "ledger/internal/resident_writer.hpp"
#include "ledger/sql.hpp"

namespace ovation::ledger {
namespace {
constexpr std::int64_t fresh_ms = 1'000;  // waited for less: not yet answered elsewhere

constexpr std::int64_t told_after_ms = 50;    // quiet: the head is told that all is saved
constexpr std::int64_t lease_every_ms = 450;  // of three seconds

const pg::statement set_zone{"set_zone", "select set_config('timezone', $1, false), set_config('synchronous_commit', 'on', false), set_config('plan_cache_mode', 'force_generic_plan', false)"};
// What it writes stands in the journal, too; a head that tells of it is flushed behind it.
const pg::statement no_sync{"no_sync", "select set_config('synchronous_commit', 'off', false)"};

// No room, no connection, no disk: not the command's doing.
bool is_passing(std::string_view state) { return state.starts_with("53") || state.starts_with("58"); }
fault not_the_writer() { return unavailable("not_the_writer", "Another server has taken over. Nothing was charged; try again in a moment."); }
fault unknown_outcome() { return unavailable("unknown_outcome", "It is not known yet whether this was paid. Ask with the same key; do not send a new gift."); }
}  // namespace

posting_queue::posting_queue(queue_options options, const clock_source& clock, metrics& registry)
    : options_(std::move(options)),
      clock_(clock),
      wake_(context_),
      tend_timer_(context_),
      saved_(context_),
      writer_(std::make_unique<resident_writer>(clock, options_.writer)),
      posted_(registry.make_counter("ovation_ledger_posted_total", "Commands posted.")),
      gifts_(registry.make_counter("ovation_ledger_gifts_total", "Gifts posted.")),
      refused_(registry.make_counter("ovation_ledger_refused_total", "Commands refused by the ledger.")),
      replayed_(registry.make_counter("ovation_ledger_replayed_total", "Commands answered from their key.")),
      batches_(registry.make_counter("ovation_ledger_batches_total", "Group commits.")),
      commit_seconds_(registry.make_histogram("ovation_ledger_commit_seconds", "One group commit, send to COMMIT.")),
      depth_gauge_(registry.make_gauge("ovation_ledger_queue_depth", "Commands waiting for the next commit.")),
      keys_gauge_(registry.make_gauge("ovation_ledger_keys_known", "1: the writer knows the keys of every leaf; 0: it asks PostgreSQL for each, or another server writes.")) {}

posting_queue::~posting_queue() {
    stop(std::chrono::seconds(1));
    if (thread_.joinable()) thread_.join();
}

void posting_queue::spawn(awaitable<void> body, std::function<void()> ended) {
    asio::co_spawn(context_, std::move(body), [ended = std::move(ended)](std::exception_ptr failure) {
        ended();
        if (!failure) return;
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& e) {
            log::error("ledger", "bug", "err={}", log::quoted(e.what()));
        }
    });
}
void posting_queue::start() {
    thread_ = std::thread([this] {
        spawn(run(), [this] { finished_ = true; });
        spawn(tend(), [] {});
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

std::string posting_queue::writer_elsewhere() const {
    std::scoped_lock lock(mutex_);
    return elsewhere_;
}

void posting_queue::post(ledger::command command, std::function<void(result<outcome>)> answer) {
    if (is_elsewhere_) return forwarder_->forward(std::move(command), std::move(answer));
    pending p{std::move(command), std::move(answer), clock_.steady_ms()};
    if (push(p)) return;
    p.answer(exhausted("ledger_busy", "Too many gifts at once. Nothing was charged; try again in a moment.", 200));
}

void posting_queue::post_here(ledger::command command, std::function<void(result<outcome>)> answer) {
    if (!is_writer()) return answer(not_the_writer());
    pending p{std::move(command), std::move(answer), clock_.steady_ms()};
    if (!push(p)) p.answer(exhausted("ledger_busy", "Too many gifts at once. Nothing was charged; try again in a moment.", 200));
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

// What waits, less the twins of keys that are on their way: they follow once those are posted, and find them known.
std::vector<posting_queue::pending> posting_queue::take(std::size_t most) {
    std::vector<pending> out;
    std::scoped_lock lock(mutex_);
    while (!waiting_.empty() && out.size() < most) {
        auto p = std::move(waiting_.front());
        waiting_.pop_front();
        bool fresh = false;
        if (auto* g = std::get_if<gift_command>(&p.command)) {
            // Whose time is over while it waited is not paid any more; a known key is still answered.
            if (g->deadline_ms != 0 && clock_.steady_ms() >= g->deadline_ms) g->lookup_only = true;
            fresh = on_the_way_.insert(g->key).second;
        } else {
            fresh = entries_on_the_way_.insert(std::get<entry_command>(p.command).key).second;
        }
        if (fresh) out.push_back(std::move(p));
        else twins_.push_back(std::move(p));
    }
    depth_ = waiting_.size() + twins_.size();
    depth_gauge_.set(static_cast<std::int64_t>(depth_.load()));
    return out;
}
void posting_queue::not_known(pending p) {
    p.unknown = true;
    unknown_.push_back(std::move(p));
}
void posting_queue::done_with(const std::vector<pending>& work) {
    std::scoped_lock lock(mutex_);
    for (const auto& p : work)
        if (const auto* g = std::get_if<gift_command>(&p.command))
            if (auto at = keys_.find(g->key); at != keys_.end() && --at->second == 0) keys_.erase(at);
}
void posting_queue::put_back(std::vector<pending> work) {
    forget_keys(work);
    std::scoped_lock lock(mutex_);
    for (auto p = work.rbegin(); p != work.rend(); ++p) waiting_.push_front(std::move(*p));
}
// Their twins may go.
void posting_queue::forget_keys(const std::vector<pending>& work) {
    for (const auto& p : work)
        if (const auto* g = std::get_if<gift_command>(&p.command)) on_the_way_.erase(g->key);
        else entries_on_the_way_.erase(std::get<entry_command>(p.command).key);
    std::scoped_lock lock(mutex_);
    for (; !twins_.empty(); twins_.pop_back()) waiting_.push_front(std::move(twins_.back()));
}

awaitable<void> posting_queue::run() {
    while (true) {
        bool stopping = false;
        {
            std::scoped_lock lock(mutex_);
            stopping = stopping_;
            asleep_ = waiting_.empty();
            if (waiting_.empty() && stopping_ && !in_flight_ && open_.commands.empty() && unknown_.empty()) break;
        }
        if (landed_) co_await land();
        if (!in_flight_ && (epoch_ == 0 || !connection_ || !connection_->usable() || !reader_->usable() || !saver_->usable())) {
            put_back(std::exchange(open_, {}).commands);
            if (co_await become_writer()) {
                lost_heads_ = 0;
                put_back(std::exchange(unknown_, {}));
                continue;
            }
            if (!unknown_.empty() && ++lost_heads_ > 100) refuse(unknown_, unknown_outcome());
            if (stopping && unknown_.empty()) break;
            co_await sleep(std::chrono::milliseconds(200));
            continue;
        }
        const bool more = epoch_ != 0 && co_await judge_more();
        if (landed_) continue;
        if (!in_flight_ && !open_.commands.empty()) launch();
        if (more) {
            // What came from PostgreSQL meanwhile goes first.
            co_await asio::post(context_, asio::use_awaitable);
            continue;
        }
        if (!in_flight_) co_await rest();
        else if (!landed_) co_await sleep(std::chrono::seconds(60));
    }
    for (int i = 0; i < 1'000 && connection_ && connection_->usable() && saver_->usable() && epoch_ != 0 && !options_.writer.set_based && writer_->unsaved(); ++i) {
        if (writer_->saving()) {
            co_await sleep(std::chrono::milliseconds(20));
        } else if (writer_->rows_wait()) {
            writer_->take_rows();
            if (writer_->has_rows() && !co_await writer_->save(*saver_)) break;
        } else {
            writer_->seal();
            if (!co_await writer_->commit(*connection_)) break;
        }
    }
    if (connection_ && connection_->usable() && epoch_ != 0)
        co_await connection_->query(sql::release_head, pg::with(epoch_.load()), std::chrono::seconds(2));
    epoch_ = 0;
    for (auto left = take(SIZE_MAX); !left.empty(); left = take(SIZE_MAX))
        refuse(left, unavailable("shutting_down", "The server is restarting. Nothing was charged; try again in a moment."));
    for (auto* c : {connection_.get(), reader_.get(), saver_.get()})
        if (c) c->close();
}

// An idle writer brings its rows up to date, and keeps its lease.
awaitable<void> posting_queue::rest() {
    co_await sleep(std::chrono::milliseconds(writer_->unsaved() ? 5 : 500));
    {
        std::scoped_lock lock(mutex_);
        if (!waiting_.empty()) co_return;
    }
    if (epoch_ == 0 || !connection_->usable() || !saver_->usable()) co_return;
    const auto quiet_ms = clock_.steady_ms() - writer_->committed_ms();
    if (!options_.writer.set_based && quiet_ms < lease_every_ms) {
        if (!writer_->saving() && writer_->rows_wait()) {
            writer_->take_rows();
            if (writer_->has_rows()) spawn(save(), [] {});
            co_return;
        }
        if (writer_->saving() || quiet_ms < told_after_ms || !writer_->unsaved()) co_return;
    }
    result<void> saved;
    if (options_.writer.set_based) {
        if (auto fenced = co_await connection_->query(sql::fence, pg::with(epoch_.load()), std::chrono::seconds(5)); !fenced) saved = fenced.error();
    } else {
        writer_->seal();
        saved = co_await writer_->commit(*connection_);
    }
    if (!saved) {
        log::warn("ledger", "lease_lost", "err={}", log::quoted(saved.error().in_full()));
        epoch_ = 0;
    }
}

awaitable<bool> posting_queue::judge_more() {
    constexpr std::size_t piece = 256;
    if (careful_) {
        // Alone, when nothing else is on its way.
        if (in_flight_ || !open_.commands.empty()) co_return false;
        careful_ = false;
        co_await post_carefully(take(piece));
        co_return true;
    }
    const auto room = options_.batch_max - std::min(options_.batch_max, open_.commands.size());
    auto work = take(std::min(room, piece));
    if (work.empty()) co_return false;
    if (options_.writer.set_based) {
        // A batch of its own, whole.
        for (auto& p : take(options_.batch_max - work.size())) work.push_back(std::move(p));
        co_await post_by_sets(std::move(work));
        co_return true;
    }
    std::vector<const command*> commands;
    for (const auto& p : work) commands.push_back(&p.command);
    auto judged = co_await writer_->judge(*reader_, commands);
    if (judged) {
        // Their keys were looked up while the head was ours.
        for (auto& p : work) p.unknown = false;
        for (auto& p : work) open_.commands.push_back(std::move(p));
        for (auto& o : *judged) open_.answers.push_back(std::move(o));
        co_return true;
    }
    log::warn("ledger", "not_judged", "size={} err={}", work.size(), log::quoted(judged.error().in_full()));
    auto all = std::exchange(open_, {}).commands;
    for (auto& p : work) all.push_back(std::move(p));
    put_back(std::move(all));
    if (!pg::sqlstate(judged.error()).empty()) {
        // A question that PostgreSQL refuses: some command is not what it can be.
        careful_ = true;
    } else {
        reader_->close();
        if (!in_flight_) epoch_ = 0;
    }
    co_return true;
}

void posting_queue::launch() {
    writer_->seal();
    flying_ = std::exchange(open_, {});
    in_flight_ = true;
    spawn(fly(), [] {});
}
awaitable<void> posting_queue::fly() {
    const auto started = clock_.steady_ms();
    while (writer_->collides() && saver_->usable()) {
        saved_.expires_after(std::chrono::seconds(1));
        co_await saved_.async_wait(use_tuple);
    }
    flight_ = co_await writer_->commit(*connection_);
    if (flight_) {
        if (writer_->has_rows()) spawn(save(), [] {});
        commit_seconds_.observe(static_cast<double>(clock_.steady_ms() - started) / 1000.0);
        batches_.add();
    }
    landed_ = true;
    wake_.cancel();
}

// The connection stays until it has answered, even if the head is taken anew meanwhile.
awaitable<void> posting_queue::save() {
    const auto by = saver_;
    if (auto done = co_await writer_->save(*by); !done) {
        log::warn("ledger", "rows_not_saved", "err={}", log::quoted(done.error().in_full()));
        by->close();  // memory is in doubt: the head is taken anew
    }
    saved_.cancel();
    wake_.cancel();
}

awaitable<void> posting_queue::land() {
    landed_ = in_flight_ = false;
    auto flown = std::exchange(flying_, {});
    if (flight_) {
        // The next batch goes before the answers of this one.
        if (!open_.commands.empty()) launch();
        deliver(flown.commands, flown.answers);
        co_return;
    }
    auto judged = std::exchange(open_, {});
    const auto why = flight_.error();
    const auto state = pg::sqlstate(why);
    if (state.empty()) {
        // Unknown: the same commands again when the head is ours; what was committed is then a replay.
        log::warn("ledger", "commit_unknown", "size={} err={}", flown.commands.size(), log::quoted(why.in_full()));
        epoch_ = 0;
        put_back(std::move(judged.commands));
        for (auto& p : flown.commands) not_known(std::move(p));
        co_return;
    }
    writer_->undo();
    if (state == "OV002") {
        log::error("ledger", "fenced", "epoch={}", epoch_.load());
        epoch_ = 0;
        refuse(flown.commands, not_the_writer());
        refuse(judged.commands, not_the_writer());
        co_return;
    }
    put_back(std::move(judged.commands));
    // Limits or the clock that have changed, or a deadlock with whoever makes leaves: judged once more.
    if (state == "OV003" || state == "OV004" || state == "40P01") {
        if (!co_await writer_->read_again(*reader_)) epoch_ = 0;
        std::vector<pending> tired;
        for (auto& p : flown.commands)
            if (++p.tries > 50) tired.push_back(std::move(p));
        std::erase_if(flown.commands, [](const pending& p) { return !p.answer; });
        refuse(tired, unavailable("ledger_unavailable", "Gifts cannot be paid at the moment. Nothing was charged; try again in a moment."));
        put_back(std::move(flown.commands));
        co_return;
    }
    // PostgreSQL refused the batch and kept nothing of it.
    log::error("ledger", "batch_refused", "size={} err={}", flown.commands.size(), log::quoted(why.in_full()));
    if (is_passing(state)) refuse(flown.commands, unavailable("ledger_unavailable", "Gifts cannot be paid at the moment. Nothing was charged; try again later."));
    else co_await post_carefully(std::move(flown.commands));
}

// All of it at once, by the functions that trust no memory.
awaitable<void> posting_queue::post_by_sets(std::vector<pending> work) {
    std::vector<const command*> commands;
    for (const auto& p : work) commands.push_back(&p.command);
    auto posted = co_await writer_->post_by_sets(*connection_, commands);
    if (posted) {
        batches_.add();
        deliver(work, *posted);
        co_return;
    }
    if (pg::sqlstate(posted.error()).empty()) {
        epoch_ = 0;
        for (auto& p : work) not_known(std::move(p));
    } else {
        co_await post_carefully(std::move(work));
    }
}

// Finds the command that PostgreSQL cannot take: one by one. Memory is not what the books are then, and begins anew.
awaitable<void> posting_queue::post_carefully(std::vector<pending> work) {
    for (auto& one : work) {
        std::vector<pending> single;
        single.push_back(std::move(one));
        if (!connection_->usable()) {
            unknown_.push_back(std::move(single.front()));  // behind those whose outcome is unknown, in order
            continue;
        }
        const std::array<const command*, 1> commands{&single.front().command};
        auto posted = co_await writer_->post_by_sets(*connection_, commands);
        for (int tries = 0; tries < 5 && !posted && pg::sqlstate(posted.error()) == "40P01"; ++tries) posted = co_await writer_->post_by_sets(*connection_, commands);
        if (posted) {
            deliver(single, *posted);
            continue;
        }
        log::error("ledger", "command_refused", "err={}", log::quoted(posted.error().in_full()));
        const auto state = pg::sqlstate(posted.error());
        if (state.empty()) {
            not_known(std::move(single.front()));
        } else if (state == "OV002") {
            epoch_ = 0;
            refuse(single, not_the_writer());
        } else refuse(single, is_passing(state) ? unavailable("ledger_unavailable", "Gifts cannot be paid at the moment. Nothing was charged; try again later.")
                                                    : internal_fault("The ledger could not take this. Nothing was charged."));
    }
    if (!connection_->usable() || epoch_ == 0) epoch_ = 0;
    else if (auto begun = co_await writer_->begin(*connection_, epoch_); !begun) epoch_ = 0;
}

awaitable<bool> posting_queue::connect() {
    connection_ = std::make_unique<pg::connection>(context_);
    reader_ = std::make_unique<pg::connection>(context_);
    saver_ = std::make_shared<pg::connection>(context_);
    auto opened = co_await connection_->open(options_.conninfo, std::chrono::seconds(5));
    if (opened) opened = co_await reader_->open(options_.conninfo, std::chrono::seconds(5));
    if (opened) opened = co_await saver_->open(options_.conninfo, std::chrono::seconds(5));
    if (opened)
        if (auto set = co_await saver_->query(no_sync, {}, std::chrono::seconds(5)); !set) opened = set.error();
    if (!opened) {
        log::warn("ledger", "no_database", "err={}", log::quoted(opened.error().message));
        // Whoever waits longer than this gets an honest answer.
        std::vector<pending> late;
        {
            std::scoped_lock lock(mutex_);
            is_elsewhere_ = false;
            elsewhere_.clear();
            while (!waiting_.empty() && clock_.steady_ms() - waiting_.front().since_ms > 5'000) {
                late.push_back(std::move(waiting_.front()));
                waiting_.pop_front();
            }
            depth_ = waiting_.size();
        }
        refuse(late, unavailable("ledger_unavailable", "Gifts cannot be paid at the moment. Nothing was charged; try again in a moment."));
        co_return false;
    }
    for (auto* c : {connection_.get(), reader_.get()})
        if (auto zone = co_await c->query(set_zone, pg::with(options_.time_zone), std::chrono::seconds(5)); !zone) {
            log::error("ledger", "bad_time_zone", "err={}", log::quoted(zone.error().in_full()));
            co_return false;
        }
    co_return true;
}

// Another server holds the head. Who asks here is not kept waiting: the writer may have answered him meanwhile, and he may have
// done something else.
awaitable<void> posting_queue::stand_by(const pg::rows& head) {
    const auto holder = head.string(0, 2);
    const bool reachable = forwarder_ && (holder.starts_with("http://") || holder.starts_with("https://")) && holder != options_.holder;
    if (!std::exchange(standing_by_, true)) log::info("ledger", "waiting_for_head", "holder={}", log::quoted(holder));
    {
        std::scoped_lock lock(mutex_);
        elsewhere_ = reachable ? holder : std::string();
    }
    is_elsewhere_ = reachable;
    auto waiting = take(SIZE_MAX);
    std::vector<pending> fresh;
    if (reachable)
        for (auto& p : waiting)
            if (clock_.steady_ms() - p.since_ms < fresh_ms) fresh.push_back(std::move(p));
    std::erase_if(waiting, [](const pending& p) { return !p.answer; });
    refuse(waiting, not_the_writer());
    // What may be in the books is asked after.
    if (reachable)
        for (auto& p : unknown_)
            if (auto* g = std::get_if<gift_command>(&p.command)) {
                p.answer = only_look(*g, std::move(p.answer));
                fresh.push_back(std::move(p));
            }
    std::erase_if(unknown_, [](const pending& p) { return !p.answer; });
    forget_keys(fresh);
    done_with(fresh);
    for (auto& p : fresh) forwarder_->forward(std::move(p.command), std::move(p.answer));
    for (auto* observer : observers_)
        if (connection_->usable()) co_await observer->on_follow(*connection_, entry_seq(head.number(0, 3)));
}

awaitable<bool> posting_queue::become_writer() {
    epoch_ = 0;
    const bool ready = standing_by_ && connection_->usable() && reader_->usable() && saver_->usable();
    if (!ready && !co_await connect()) {
        standing_by_ = false;
        co_return false;
    }
    auto taken = co_await connection_->query(sql::take_head, pg::with(options_.holder), std::chrono::seconds(5));
    if (!taken || taken->empty()) {
        log::info("ledger", "waiting_for_head", "err={}", log::quoted(taken ? "no head" : taken.error().message));
        connection_->close();
        standing_by_ = false;
        co_return false;
    }
    if (taken->null(0, 0)) {
        co_await stand_by(*taken);
        co_return false;
    }
    standing_by_ = false;
    {
        std::scoped_lock lock(mutex_);
        is_elsewhere_ = false;
        elsewhere_.clear();
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
        keys_gauge_.set(knows_keys() ? 1 : 0);
        tend_timer_.expires_after(std::chrono::milliseconds(200));
        co_await tend_timer_.async_wait(use_tuple);
    }
}

void posting_queue::deliver(std::vector<pending>& work, outcomes& answers) {
    forget_keys(work);
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
    done_with(work);
    for (std::size_t i = 0; i < work.size(); ++i) work[i].answer(std::move(answers[i]));
}

void posting_queue::refuse(std::vector<pending>& work, const fault& why) {
    forget_keys(work);
    done_with(work);
    for (auto& p : work) p.answer(p.unknown ? unknown_outcome() : why);
    work.clear();
}

}  // namespace ovation::ledger
