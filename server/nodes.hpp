// Several servers on one database: one writes the books, the others carry to it what they are asked to post, and show what it
// commits. A server proves itself by the installation's key, which lies in the database that they share.
#pragma once
#include <deque>
#include <mutex>

#include "base/cores.hpp"
#include "base/http_client.hpp"
#include "base/metrics.hpp"
#include "base/rpc.hpp"
#include "ledger/posting_queue.hpp"
#include "ovation/v1/node.pb.h"

namespace ovation::server {

class nodes final : public ledger::forwarder {
public:
    nodes(core& home, ledger::posting_queue& queue, const clock_source& clock, metrics& registry, std::string ca_file);
    // Before anything is forwarded or admitted.
    void set_key(std::string installation_key) { key_ = std::move(installation_key); }
    void register_with(rpc_table& table);
    // `authorization` of a request with this body: the caller that a server of the house is, or why not.
    [[nodiscard]] result<caller> admit(std::string_view authorization, std::string_view body) const;
    // Sends it to the server that writes, once. Where no answer comes, a gift is only asked after, for as long as callers wait, and
    // of an entry it is said that its outcome is unknown.
    void forward(ledger::command what, std::function<void(result<ledger::outcome>)> answer) override;

private:
    struct carried {
        ledger::command command;
        std::function<void(result<ledger::outcome>)> answer;
        std::int64_t since_ms = 0;
        bool sent = false;  // somebody may have posted it
    };
    awaitable<void> carry();
    awaitable<void> send(http_link& link, std::vector<carried>& load);
    std::vector<carried> take();
    void put_back(std::vector<carried>& load);
    void not_answered(std::vector<carried>& load);
    awaitable<result<v1::PostCommandsResponse>> post(granted who, v1::PostCommandsRequest request);
    [[nodiscard]] std::string proof_of(std::int64_t at_ms, std::string_view body) const;

    core& home_;
    ledger::posting_queue& queue_;
    const clock_source& clock_;
    std::string ca_file_, key_;
    counter& forwarded_;
    std::mutex mutex_;  // guards what follows
    std::deque<carried> waiting_;
    bool carrying_ = false;
};

}  // namespace ovation::server
