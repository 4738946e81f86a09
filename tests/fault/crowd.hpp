// The load of the fault tests: clients that repeat each command with its key until it is answered, replay old ones, use keys
// again for something else, and wallets that run dry. What they were told is kept, to be held against the books.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/uuid.hpp"
#include "ovation/v1/auth.pb.h"
#include "ovation/v1/gift.pb.h"
#include "ovation/v1/payment.pb.h"
#include "server/client.hpp"
#include "tests/fault/caller.hpp"

namespace ovation::fault_test {

template <class T>
T must(result<T> r, const std::string& what) {
    if (!r) throw std::runtime_error(what + ": " + r.error().message);
    return std::move(*r);
}

struct person {
    std::string token;
    std::int64_t id = 0;
    std::string handle;
};
inline person make_person(const client::address& to, const std::string& handle) {
    client::rpc c(to);
    v1::RegisterRequest r;
    r.set_handle(handle);
    r.set_display_name(handle);
    r.set_password("storm-password");
    auto made = must(c.call<v1::LogInResponse>("AuthService/Register", r), handle);
    return {made.access_token(), made.user().id(), handle};
}
inline std::string log_in(const client::address& to, const std::string& handle) {
    client::rpc c(to);
    v1::LogInRequest r;
    r.set_handle(handle);
    r.set_password("storm-password");
    return must(c.call<v1::LogInResponse>("AuthService/LogIn", r), handle).access_token();
}
inline std::string new_key() { return uuid::make_v7(system_clock_source().now_ms()).text(); }
inline void top_up(client::rpc& c, std::int64_t pack) {
    v1::CreateTopUpRequest order;
    order.set_key(new_key());
    order.set_pack_id(pack);
    order.set_provider("sandbox");
    v1::PaySandboxOrderRequest pay;
    pay.set_order_id(must(c.call<v1::TopUp>("PaymentService/CreateTopUp", order), "order").order_id());
    must(c.call<v1::TopUp>("PaymentService/PaySandboxOrder", pay), "pay");
}
// So many people, each with 600 coins: some run dry.
inline std::vector<person> make_people(const client::address& to, const std::string& name, int count) {
    std::mutex m;
    std::vector<person> out;
    std::exception_ptr failure;
    std::vector<std::thread> makers;
    std::atomic<int> next{0};
    for (int t = 0; t < 8; ++t)
        makers.emplace_back([&] {
            try {
                for (int i = next++; i < count; i = next++) {
                    auto p = make_person(to, name + "-" + std::to_string(i));
                    client::rpc c(to);
                    c.token = p.token;
                    top_up(c, 1);
                    std::scoped_lock lock(m);
                    out.push_back(std::move(p));
                }
            } catch (...) {
                std::scoped_lock lock(m);
                failure = std::current_exception();
            }
        });
    for (auto& t : makers) t.join();
    if (failure) std::rethrow_exception(failure);
    return out;
}

struct acknowledged {
    std::string key;
    std::int64_t seq, coins;
};

// What the clients were told.
struct told {
    std::mutex mutex;
    std::vector<acknowledged> acks;
    std::set<std::string> refused;  // keys of which it was said at last that nothing was charged
    std::map<std::string, int> refusals, retries;
    std::map<std::string, std::string> complaints;  // the first of each kind
    std::atomic<std::int64_t> wrong{0}, unanswered{0}, replays{0}, answered{0};

    void complain(const std::string& kind, const std::string& what) {
        ++wrong;
        std::scoped_lock lock(mutex);
        complaints.emplace(kind, what);
    }
    std::size_t acknowledgements() {
        std::scoped_lock lock(mutex);
        return acks.size();
    }
};

struct load {
    std::vector<client::address> servers;  // all on one database: what one does not answer, another is asked
    v1::SendGiftRequest gift;              // to whom; price version
    unsigned seed = 0;
    std::function<bool()> more;            // asked before each command
    std::int64_t pack_when_dry = 0;        // three of four clients buy more then
    std::function<bool()> hopeless = [] { return false; };
    std::chrono::milliseconds limit{60'000};  // how long three of four clients wait for one answer, before they ask again
    std::chrono::milliseconds long_limit{60'000};
    std::chrono::seconds patience{60};        // how long one command may stay without an answer
};

class member {
public:
    member(const load& what, told& into, const person& who, unsigned number) : load_(what), told_(into), who_(who), number_(number), dice_(what.seed + number), at_(number % what.servers.size()) {
        for (const auto& s : load_.servers) {
            calls_.emplace_back(s);
            calls_.back().token = who.token;
        }
    }
    void run() {
        while (load_.more()) one();
    }

private:
    int roll(int most) { return std::uniform_int_distribution<int>(0, most - 1)(dice_); }

    // The same command until it is answered; nullopt: never.
    template <class Response, class Request>
    std::optional<result<Response>> until_answered(const std::string& method, const Request& request, bool& unknown, bool& denied) {
        for (const auto until = std::chrono::steady_clock::now() + load_.patience; std::chrono::steady_clock::now() < until && !load_.hopeless();) {
            try {
                calls_[at_].limit = number_ % 4 == 1 ? load_.long_limit : load_.limit;
                auto r = calls_[at_].call<Response>(method, request);
                if (r) return r;
                const auto& f = r.error();
                if (f.kind == code::unauthenticated) {
                    for (auto& c : calls_) c.token = log_in(load_.servers[at_], who_.handle);
                    continue;
                }
                // Of an internal fault nobody is told whether it was paid.
                if (!f.retryable && f.kind != code::internal) return r;
                if (f.message.find("Nothing was charged") != std::string::npos) denied = true;
                else unknown = true;
                std::scoped_lock lock(told_.mutex);
                ++told_.retries[f.reason];
            } catch (const std::exception&) {
                unknown = true;  // it was killed, or cut off: nobody knows whether it was paid
            }
            at_ = (at_ + 1) % calls_.size();
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        return std::nullopt;
    }

    void one() {
        auto g = load_.gift;
        g.set_gift_id(11);  // 1 coin
        g.set_quantity(roll(6) == 0 ? 66 : roll(3) == 0 ? 10 : 1);
        g.set_key(new_key());
        const acknowledged* before = nullptr;
        bool conflict = false, unknown = false, denied = false;
        if (const int what = roll(100); what < 22 && !done_.empty()) {
            const auto& old = done_[static_cast<std::size_t>(roll(static_cast<int>(done_.size())))];
            g = old.first;
            before = &old.second;
            if (what >= 20) {
                conflict = true;
                g.set_quantity(g.quantity() == 1 ? 10 : 1);
            }
            if (roll(8) == 0) at_ = (at_ + 1) % calls_.size();  // another server must say the same
        }
        const auto r = until_answered<v1::SendGiftResponse>("GiftService/SendGift", g, unknown, denied);
        if (!r) {
            ++told_.unanswered;
            return;
        }
        ++told_.answered;
        if (*r) {
            const auto& got = **r;
            if (conflict) told_.complain("a used key was taken for another gift", g.key());
            if (before && (got.entry_seq() != before->seq || got.coins() != before->coins)) told_.complain("a replay had another result", g.key());
            if (before) ++told_.replays;
            // Every earlier try was answered, each time with "nothing was charged".
            if (!before && denied && !unknown && got.replayed()) told_.complain("it was charged after 'nothing was charged'", g.key());
            if (before || conflict) return;
            acknowledged ack{g.key(), got.entry_seq(), got.coins()};
            done_.emplace_back(g, ack);
            std::scoped_lock lock(told_.mutex);
            told_.acks.push_back(std::move(ack));
            return;
        }
        const auto& why = r->error();
        const bool expected = conflict ? why.reason == "key_reused" : !before && why.reason == "insufficient_coins";
        if (!expected) told_.complain("refused with " + why.reason, g.key() + ": " + why.message);
        {
            std::scoped_lock lock(told_.mutex);
            ++told_.refusals[why.reason];
            if (!before) told_.refused.insert(g.key());
        }
        if (why.reason != "insufficient_coins" || load_.pack_when_dry == 0) return;
        if (number_ % 4 != 0) buy();
        else std::this_thread::sleep_for(std::chrono::milliseconds(20));  // and stays dry, which is no reason to ask all the time
    }

    void buy() {
        bool unknown = false, denied = false;
        v1::CreateTopUpRequest order;
        order.set_key(new_key());
        order.set_pack_id(load_.pack_when_dry);
        order.set_provider("sandbox");
        const auto made = until_answered<v1::TopUp>("PaymentService/CreateTopUp", order, unknown, denied);
        if (!made) ++told_.unanswered;
        if (!made || !*made) return;
        v1::PaySandboxOrderRequest pay;
        pay.set_order_id((*made)->order_id());
        const auto paid = until_answered<v1::TopUp>("PaymentService/PaySandboxOrder", pay, unknown, denied);
        if (!paid) ++told_.unanswered;
        if (!paid) return;
        if (!*paid || (*paid)->state() != v1::TOP_UP_STATE_PAID) {
            told_.complain("a top-up was not paid", std::to_string(pay.order_id()) + (*paid ? "" : ": " + paid->error().message));
            return;
        }
        std::scoped_lock lock(told_.mutex);
        told_.acks.push_back({"topup:" + std::to_string(pay.order_id()), (*paid)->entry_seq(), (*paid)->coins()});
    }

    const load& load_;
    told& told_;
    const person& who_;
    unsigned number_;
    std::mt19937 dice_;
    std::size_t at_;
    std::vector<caller> calls_;
    std::vector<std::pair<v1::SendGiftRequest, acknowledged>> done_;
};

// Everybody at once, a thread each.
class crowd {
public:
    crowd(load what, told& into, const std::vector<person>& people) : load_(std::move(what)) {
        for (unsigned i = 0; i < people.size(); ++i)
            threads_.emplace_back([this, &into, &who = people[i], i] { member(load_, into, who, i).run(); });
    }
    ~crowd() { join(); }
    crowd(const crowd&) = delete;
    crowd& operator=(const crowd&) = delete;
    void join() {
        for (auto& t : threads_)
            if (t.joinable()) t.join();
    }

private:
    load load_;
    std::vector<std::thread> threads_;
};

}  // namespace ovation::fault_test
