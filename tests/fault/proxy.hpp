// Stands between a server and PostgreSQL, unix socket to unix socket, and lets the connection fail as a network's would: nothing
// comes through, only the answers do not, or it is cut.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace ovation::fault_test {

class proxy {
public:
    enum class mode { forward, hold, hold_answers, cut };

    // Listens in `folder` as PostgreSQL would; goes on to the socket in `to`.
    proxy(const std::string& folder, const std::string& to) : to_(to + "/.s.PGSQL.5432"), listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        const auto at = address_of(folder + "/.s.PGSQL.5432");
        if (bind(listener_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || listen(listener_, 64) != 0) throw std::runtime_error("the proxy cannot listen in " + folder);
        thread_ = std::thread([this] { run(); });
    }
    ~proxy() {
        over_ = true;
        thread_.join();
        close(listener_);
    }
    proxy(const proxy&) = delete;
    proxy& operator=(const proxy&) = delete;
    void set(mode m) { mode_ = m; }

private:
    struct way {
        int from, to;
        bool answers;
        std::string waiting{};
    };
    struct pair {
        int client, server;
        way up, down;
        bool broken = false;
    };
    static sockaddr_un address_of(const std::string& path) {
        sockaddr_un out{};
        out.sun_family = AF_UNIX;
        if (path.size() >= sizeof out.sun_path) throw std::runtime_error("too long for a socket: " + path);
        std::memcpy(out.sun_path, path.c_str(), path.size() + 1);
        return out;
    }
    void take_new() {
        for (int client = 0; (client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
            const int server = mode_ == mode::cut ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const auto at = address_of(to_);
            if (server < 0 || connect(server, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
                if (server >= 0) close(server);
                close(client);
                continue;
            }
            fcntl(server, F_SETFL, O_NONBLOCK);
            pairs_.push_back({client, server, {client, server, false}, {server, client, true}});
        }
    }
    [[nodiscard]] bool flows(const way& w) const {
        const auto m = mode_.load();
        return m == mode::forward || (m == mode::hold_answers && !w.answers);
    }
    void move(pair& p, way& w) const {
        if (!flows(w)) return;
        if (w.waiting.empty()) {
            char chunk[65536];
            const auto n = recv(w.from, chunk, sizeof chunk, 0);
            if (n == 0 || (n < 0 && errno != EAGAIN)) p.broken = true;
            if (n > 0) w.waiting.assign(chunk, static_cast<std::size_t>(n));
        }
        if (w.waiting.empty()) return;
        const auto n = send(w.to, w.waiting.data(), w.waiting.size(), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) p.broken = true;
        if (n > 0) w.waiting.erase(0, static_cast<std::size_t>(n));
    }
    void run() {
        while (!over_) {
            std::vector<pollfd> wanted{{listener_, POLLIN, 0}};
            for (const auto& p : pairs_)
                for (const auto* w : {&p.up, &p.down})
                    if (flows(*w)) wanted.push_back(w->waiting.empty() ? pollfd{w->from, POLLIN, 0} : pollfd{w->to, POLLOUT, 0});
            ::poll(wanted.data(), wanted.size(), 10);
            take_new();
            for (auto& p : pairs_) {
                move(p, p.up);
                move(p, p.down);
                if (mode_ == mode::cut) p.broken = true;
            }
            std::erase_if(pairs_, [](const pair& p) {
                if (p.broken) close(p.client), close(p.server);
                return p.broken;
            });
        }
        for (const auto& p : pairs_) close(p.client), close(p.server);
    }
    std::string to_;
    int listener_;
    std::list<pair> pairs_;
    std::atomic<mode> mode_{mode::forward};
    std::atomic<bool> over_{false};
    std::thread thread_;
};

}  // namespace ovation::fault_test
