// One io_context, one thread, one pool of database connections per core. What a core owns is touched on its thread only.
#pragma once
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/asio.hpp"
#include "base/pg.hpp"
#include "base/task_group.hpp"

namespace ovation {

struct core {
    core(std::size_t number, const std::string& conninfo, std::size_t connections) : index(number), db(context, conninfo, connections) {}
    const std::size_t index;
    asio::io_context context{1};
    pg::pool db;
    task_group tasks{context};
};

class cores {
public:
    cores(std::size_t count, const std::string& conninfo, std::size_t connections_per_core);
    ~cores();
    cores(const cores&) = delete;
    cores& operator=(const cores&) = delete;

    void start();
    // Lets each loop run dry and joins the threads.
    void join();
    [[nodiscard]] std::size_t count() const { return all_.size(); }
    core& at(std::size_t index) { return *all_.at(index); }
    // The core whose thread this is; the first one for any other thread of the program before start().
    core& here();
    pg::pool& db() { return here().db; }

private:
    std::vector<std::unique_ptr<core>> all_;
    std::vector<std::thread> threads_;
    std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
};


// Runs `body` on a core, at once if that is this one, and brings its result back here.
template <class T>
awaitable<T> ask(core& target, awaitable<T> body) {
    if (target.context.get_executor().running_in_this_thread()) co_return co_await std::move(body);
    co_return co_await asio::co_spawn(target.context, std::move(body), asio::use_awaitable);
}

}  // namespace ovation
