// A real server of its own on a free port, ended with its owner.
#pragma once
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/client.hpp"

namespace ovation::test {

class server_process {
public:
    server_process(const std::string& binary, std::vector<std::string> flags) {
        int out[2];
        if (pipe(out) != 0) throw std::runtime_error("pipe");
        flags.insert(flags.begin(), {"ovation", "serve", "--demo", "--log-level", "error", "--port", "0", "--web-root", ""});
        std::vector<char*> raw;
        for (auto& f : flags) raw.push_back(f.data());
        raw.push_back(nullptr);
        pid_ = fork();
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            dup2(out[1], 1);
            close(out[0]);
            execv(binary.c_str(), raw.data());
            _exit(127);
        }
        close(out[1]);
        std::string line;
        for (char c = 0; read(out[0], &c, 1) == 1 && c != '\n';) line += c;
        close(out[0]);
        if (!line.starts_with("listening")) throw std::runtime_error("the server did not start: " + line);
        to_ = {"127.0.0.1", line.substr(line.rfind(':') + 1)};
    }
    ~server_process() {
        kill(pid_, SIGTERM);
        waitpid(pid_, nullptr, 0);
    }
    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;
    [[nodiscard]] const client::address& to() const { return to_; }
    // Processor seconds used so far.
    [[nodiscard]] double cpu_s() const {
        std::ifstream in("/proc/" + std::to_string(pid_) + "/stat");
        std::string all((std::istreambuf_iterator<char>(in)), {});
        std::istringstream rest(all.substr(all.rfind(')') + 2));
        std::string field;
        long user = 0, kernel = 0;
        for (int i = 3; i <= 15 && rest >> field; ++i) {
            if (i == 14) user = std::stol(field);
            if (i == 15) kernel = std::stol(field);
        }
        return static_cast<double>(user + kernel) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }

private:
    pid_t pid_ = 0;
    client::address to_;
};

}  // namespace ovation::test
