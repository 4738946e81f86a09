// What the fault tests kill: a server of our own, and a PostgreSQL cluster of our own with every one of its processes.
#pragma once
#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/client.hpp"

namespace ovation::fault_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

// Waits until `good`, at most `limit`.
template <class Condition>
bool wait_for(Condition good, std::chrono::milliseconds limit, std::chrono::milliseconds every = 5ms) {
    for (const auto until = steady::now() + limit; steady::now() < until; std::this_thread::sleep_for(every))
        if (good()) return true;
    return good();
}

inline pid_t launch(std::vector<std::string> words, const std::string& log, int out, const passwd* as) {
    std::vector<char*> raw;
    for (auto& w : words) raw.push_back(w.data());
    raw.push_back(nullptr);
    const pid_t parent = getpid(), pid = fork();
    if (pid != 0) return pid;
    if (!log.empty())
        if (FILE* f = std::fopen(log.c_str(), "a")) dup2(fileno(f), 2);
    dup2(out >= 0 ? out : 2, 1);
    if (as && (setgid(as->pw_gid) != 0 || setuid(as->pw_uid) != 0)) _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // behind setuid, which forgets it
    if (getppid() != parent) _exit(125);
    execv(raw[0], raw.data());
    _exit(127);
}

inline int free_port() {
    const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (bind(s, reinterpret_cast<sockaddr*>(&at), size) != 0 || getsockname(s, reinterpret_cast<sockaddr*>(&at), &size) != 0) throw std::runtime_error("no free port");
    close(s);
    return ntohs(at.sin_port);
}

class server_process {
public:
    // node: one of several, at a port of its own from the start, which carries what it cannot post to the others.
    server_process(std::string binary, std::string database, std::string redis = {}, std::string log = {}, bool node = false)
        : binary_(std::move(binary)), database_(std::move(database)), redis_(std::move(redis)), log_(std::move(log)) {
        if (node) {
            port_ = std::to_string(free_port());
            more_ = {"--node-url", "http://127.0.0.1:" + port_};
        }
        start();
    }
    ~server_process() { end(SIGTERM); }
    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;
    void start() {
        int out[2];
        if (pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        std::vector<std::string> words{binary_, "serve", "--demo", "--load-profile", "--log-level", log_.empty() ? "error" : "info", "--port", port_, "--database", database_, "--web-root", "", "--sandbox-key", "storm"};
        if (!redis_.empty()) words.insert(words.end(), {"--redis", redis_});
        words.insert(words.end(), more_.begin(), more_.end());
        pid_ = launch(words, log_, out[1], nullptr);
        close(out[1]);
        std::string line;
        char c = 0;
        while (read(out[0], &c, 1) == 1 && c != '\n') line += c;
        close(out[0]);
        const auto colon = line.rfind(':');
        if (!line.starts_with("listening") || colon == std::string::npos) throw std::runtime_error("the server did not start: " + line);
        port_ = line.substr(colon + 1);
    }
    void end(int with) {
        if (pid_ <= 0) return;
        kill(pid_, with);
        kill(pid_, SIGCONT);  // it may be frozen
        const bool gone = with == SIGTERM && wait_for([&] { return waitpid(pid_, nullptr, WNOHANG) != 0; }, 30s);
        if (!gone) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        pid_ = 0;
    }
    void restart(int with = SIGKILL) {
        end(with);
        start();
    }
    void freeze() const { kill(pid_, SIGSTOP); }
    void thaw() const { kill(pid_, SIGCONT); }
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] client::address where() const { return {"127.0.0.1", port_}; }

private:
    std::string binary_, database_, redis_, log_, port_ = "0";
    std::vector<std::string> more_;
    pid_t pid_ = 0;
};

// A cluster in `folder`, reached by the unix socket in that folder alone. PostgreSQL refuses root: then it is `postgres`'s.
class cluster {
public:
    static constexpr const char* programs = "/usr/lib/postgresql/15/bin/";

    // `data` may be a copy of another cluster's: then nothing is made. `more`: for initdb.
    cluster(fs::path folder, fs::path data, const std::string& settings, const std::vector<std::string>& more = {}) : folder_(std::move(folder)), data_(std::move(data)) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);  // backends whose postmaster is killed become ours to wait for
        if (getuid() == 0) {
            user_ = getpwnam("postgres");
            if (!user_) throw std::runtime_error("there is no user postgres");
        }
        fs::create_directories(folder_);
        own(folder_);
        if (!fs::exists(data_ / "PG_VERSION")) {
            own(data_.parent_path());
            std::vector<std::string> words{std::string(programs) + "initdb", "-D", data_, "-U", "owner", "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"};
            words.insert(words.end(), more.begin(), more.end());
            run(std::move(words));
        }
        fs::remove(data_ / "postmaster.pid");
        std::ofstream(data_ / "postgresql.conf", std::ios::app) << "listen_addresses = ''\nunix_socket_directories = '" << folder_.string()
            << "'\nunix_socket_permissions = 0700\nmax_connections = 80\nshared_buffers = 64MB\nmin_wal_size = 64MB\nmax_wal_size = 256MB\ncheckpoint_timeout = 30s\ntimezone = 'UTC'\n"
               "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n" << settings << "\n";
        start();
    }
    ~cluster() { stop(); }
    cluster(const cluster&) = delete;
    cluster& operator=(const cluster&) = delete;

    // False: it ended again, or was not up in time; the log says why.
    bool try_start(std::chrono::milliseconds limit = 60s) {
        pid_ = launch({std::string(programs) + "postgres", "-D", data_}, log(), -1, user_);
        const auto up = wait_for([&] { return ended() || PQping(info("postgres", "owner").c_str()) == PQPING_OK; }, limit, 10ms);
        if (up && pid_ > 0) return true;
        kill9();
        return false;
    }
    void start() {
        if (!try_start()) throw std::runtime_error("PostgreSQL did not start; see " + log());
    }
    // The postmaster and all that it has started, as one: it is held first, so that nothing new appears in between.
    void kill9() {
        if (pid_ <= 0) return;
        kill(pid_, SIGSTOP);
        const auto all = children();
        kill(pid_, SIGKILL);
        for (const auto p : all) kill(p, SIGKILL);
        waitpid(pid_, nullptr, 0);
        for (const auto p : all) waitpid(p, nullptr, 0);
        pid_ = 0;
    }
    void stop() {
        if (pid_ <= 0) return;
        kill(pid_, SIGQUIT);
        if (wait_for([&] { return waitpid(pid_, nullptr, WNOHANG) != 0; }, 10s)) pid_ = 0;
        else kill9();
    }
    // Whether the postmaster has ended by itself.
    bool ended() {
        if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
        return pid_ <= 0;
    }
    [[nodiscard]] std::string info(const std::string& database, const std::string& user) const { return "host=" + folder_.string() + " dbname=" + database + " user=" + user; }
    [[nodiscard]] const fs::path& folder() const { return folder_; }
    [[nodiscard]] std::string log() const { return folder_.string() + "/postgres.log"; }
    void own(const fs::path& what) const {
        if (user_ && chown(what.c_str(), user_->pw_uid, user_->pw_gid) != 0) throw std::runtime_error("chown " + what.string());
    }

private:
    void run(std::vector<std::string> words) const {
        int state = 0;
        waitpid(launch(std::move(words), log(), -1, user_), &state, 0);
        if (state != 0) throw std::runtime_error("initdb failed; see " + log());
    }
    [[nodiscard]] std::vector<pid_t> children() const {
        std::vector<pid_t> out;
        for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid_) + "/task")) {
            std::ifstream in(task.path() / "children");
            for (pid_t p = 0; in >> p;) out.push_back(p);
        }
        return out;
    }
    fs::path folder_, data_;
    const passwd* user_ = nullptr;
    pid_t pid_ = 0;
};

// A folder of its own, gone with its owner; `keep` leaves it for whoever looks for the reason of a failure.
class scratch {
public:
    explicit scratch(const std::string& under) {
        auto name = (under.empty() ? "/tmp" : under) + "/ovation-fault.XXXXXX";
        if (!mkdtemp(name.data())) throw std::runtime_error("no folder under " + under);
        path_ = name;
        fs::permissions(path_, fs::perms(0711));
    }
    ~scratch() {
        std::error_code ignored;
        if (!keep) fs::remove_all(path_, ignored);
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    [[nodiscard]] const fs::path& path() const { return path_; }
    bool keep = false;

private:
    fs::path path_;
};

}  // namespace ovation::fault_test
