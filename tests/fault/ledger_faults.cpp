// What money must survive: kill -9 of the server, of PostgreSQL and of both, a writer that stops and comes back, a network that
// fails between the two, a full disk, a power cut. Each on a PostgreSQL cluster of the test's own, under load, with replays,
// conflicts and dry wallets; after each round what the clients were told is held against the journal.
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include <linux/fs.h>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "tests/fault/proxy.hpp"
#include "tests/fault/site.hpp"

using namespace ovation;
using namespace ovation::fault_test;

namespace {

// ---- the cases ----

// One fault a round, each under load that has come back from the one before.
template <class Fault>
int rounds_of(const options& o, site& s, const std::string& what, Fault fault) {
    dice d(o.seed);
    int done = 0;
    s.start_load();
    sync();  // what was there before the load is not what is tested
    for (; done < o.rounds && s.wait_for_load(200); ++done) {
        d.pause(300);
        fault(d);
        s.check();
    }
    s.wait_for_load(100);
    const auto code = s.finish(true);
    s.print(done, what);
    return interrupted ? 1 : code;
}

int kill9_server(const options& o, const fs::path& folder) {
    site s(o, folder, folder / "data", "");
    s.add_server();
    return rounds_of(o, s, "kill -9 of the server", [&](dice&) { s.servers[0]->restart(); });
}

void kill_postgres(site& s, dice& d) {
    s.pg.kill9();
    d.pause(500);
    s.pg.start();
    // Once more, while the server comes back to it; and then away for longer than anybody waits.
    if (d.roll(3) != 0) return;
    d.pause(700);
    s.pg.kill9();
    if (d.roll(2) == 0) std::this_thread::sleep_for(6s);
    s.pg.start();
}
int kill9_postgres(const options& o, const fs::path& folder) {
    site s(o, folder, folder / "data", "");
    s.add_server();
    return rounds_of(o, s, "kill -9 of PostgreSQL", [&](dice& d) { kill_postgres(s, d); });
}

int kill9_both(const options& o, const fs::path& folder) {
    site s(o, folder, folder / "data", "");
    s.add_server();
    return rounds_of(o, s, "kill -9 of both at once", [&](dice& d) {
        const bool server_first = d.roll(2) == 0;
        if (server_first) s.servers[0]->end(SIGKILL);
        s.pg.kill9();
        if (!server_first) s.servers[0]->end(SIGKILL);
        d.pause(300);
        s.pg.start();
        s.servers[0]->start();
    });
}

// The holder is frozen; the other server takes the writer over when the lease is over; the first comes back and must find itself fenced.
int takeover(const options& o, const fs::path& folder) {
    site s(o, folder, folder / "data", "");
    s.add_server();
    s.add_server();
    std::int64_t longest = 0;
    const auto code = rounds_of(o, s, "takeover from a frozen writer", [&](dice& d) {
        if (!wait_for([&] { return s.holder() >= 0; }, 20s, 50ms)) return s.violation("nobody holds the head");
        const auto was = s.holder();
        const auto epoch = s.epoch();
        const auto started = steady::now();
        auto& frozen = *s.servers[static_cast<std::size_t>(was)];
        frozen.freeze();
        const bool taken = wait_for([&] { return s.epoch() > epoch && s.holder() == 1 - was; }, 20s, 50ms);
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(steady::now() - started).count();
        longest = std::max(longest, took);
        if (!taken) s.violation("nobody has taken over within 20 s");
        else s.wait_for_load(100, 20s);
        d.pause(500);
        const auto after = s.epoch();
        frozen.thaw();
        s.wait_for_load(100, 20s);
        if (taken && (s.epoch() != after || s.holder() != 1 - was)) s.violation("the frozen writer took the head back");
    });
    std::cout << "longest time without a writer: " << longest << " ms" << std::endl;
    return code;
}

// Two servers that carry commands to each other. The writer dies, or is frozen for longer than its lease, or the other one dies
// with what it carries.
int forwarding(const options& o, const fs::path& folder) {
    site s(o, folder, folder / "data", "");
    s.add_server({}, true);
    s.add_server({}, true);
    int kinds[3] = {};
    const auto code = rounds_of(o, s, "kill -9 while commands are carried to the writer", [&](dice& d) {
        if (!wait_for([&] { return s.holder() >= 0; }, 20s, 50ms)) return s.violation("nobody holds the head");
        const auto was = static_cast<std::size_t>(s.holder());
        const auto kind = static_cast<std::size_t>(d.roll(3));
        ++kinds[kind];
        if (kind == 0) {
            s.servers[was]->end(SIGKILL);
            d.pause(2'000);
            s.servers[was]->start();
        } else if (kind == 1) {
            s.servers[was]->freeze();
            std::this_thread::sleep_for(4s);
            s.servers[was]->thaw();
        } else {
            s.servers[1 - was]->end(SIGKILL);
            d.pause(500);
            s.servers[1 - was]->start();
        }
        s.wait_for_load(100, 20s);
    });
    std::cout << "writer killed " << kinds[0] << ", frozen " << kinds[1] << ", other killed " << kinds[2] << std::endl;
    if (s.said.retries["not_the_writer"] > s.said.retries["ledger_unavailable"] + 200) s.violation("commands were refused that could have been carried");
    return code;
}

// A command waits at a server that is not the writer; its sender asks the writer, is told that it has no coins and that nothing was
// charged, and buys some. When the first server becomes the writer it must not charge what was refused.
int stale_command(const options& o, const fs::path& folder) {
    site s(o, folder, folder / "data", "");
    s.add_server();
    if (!wait_for([&] { return s.holder() == 0; }, 20s, 50ms)) throw std::runtime_error("server 0 did not become the writer");
    s.add_server();
    int asked = 0;
    const auto code = rounds_of(o, s, "command refused by the writer while it waited elsewhere", [&](dice&) {
        if (!wait_for([&] { return s.holder() >= 0; }, 20s, 50ms)) return s.violation("nobody holds the head");
        auto& writer = *s.servers[static_cast<std::size_t>(s.holder())];
        auto& other = *s.servers[static_cast<std::size_t>(1 - s.holder())];
        const auto who = make_person(writer.where(), "late-" + std::to_string(++asked));
        auto g = s.gift();
        g.set_gift_id(11);
        g.set_quantity(10);
        g.set_key(new_key());
        caller there(other.where()), here(writer.where());
        there.token = here.token = who.token;
        there.limit = 2s;
        const auto started = steady::now();
        std::string first = "nothing within 2 s";
        try {
            const auto r = there.call<v1::SendGiftResponse>("GiftService/SendGift", g);
            first = r ? "done" : r.error().reason;
        } catch (const std::exception&) {
        }
        std::cout << "the server that is not the writer said: " << first << " (" << std::chrono::duration_cast<std::chrono::milliseconds>(steady::now() - started).count() << " ms)" << std::endl;
        const auto refused = here.call<v1::SendGiftResponse>("GiftService/SendGift", g);
        if (refused || refused.error().reason != "insufficient_coins") return s.violation("an empty wallet was not refused");
        {
            std::scoped_lock lock(s.said.mutex);
            s.said.refused.insert(g.key());
        }
        client::rpc buyer(writer.where());
        buyer.token = who.token;
        top_up(buyer, 1);
        writer.end(SIGKILL);
        s.wait_for_load(50, 20s);
        writer.start();
    });
    return code;
}

// Server 0 reaches PostgreSQL through a proxy that fails; server 1 directly.
int partition(const options& o, const fs::path& folder) {
    site s(o, folder, folder / "data", "");
    s.longest_wait = 3s;
    fs::create_directories(folder / "proxy");
    proxy between(folder / "proxy", s.pg.folder());
    s.add_server(folder / "proxy");
    if (!wait_for([&] { return s.holder() == 0; }, 20s, 50ms)) throw std::runtime_error("server 0 did not become the writer");
    s.add_server();
    std::array<int, 5> kinds{};
    int next = static_cast<int>(o.seed % kinds.size());
    const auto code = rounds_of(o, s, "partition between server and PostgreSQL", [&](dice& d) {
        // Only a writer's connection is worth cutting.
        if (s.holder() != 0) {
            s.servers[1]->end(SIGTERM);
            const bool back = wait_for([&] { return s.holder() == 0; }, 20s, 50ms);
            s.servers[1]->start();
            if (!back) return s.violation("server 0 did not become the writer again");
            s.wait_for_load(100, 20s);
        }
        const auto kind = next++ % static_cast<int>(kinds.size());
        ++kinds[static_cast<std::size_t>(kind)];
        using mode = proxy::mode;
        switch (kind) {
            case 0: between.set(mode::hold_answers); std::this_thread::sleep_for(300ms); between.set(mode::cut); d.pause(1000); break;  // committed, and nobody told
            case 1: between.set(mode::hold); std::this_thread::sleep_for(5s); break;                                                      // over the lease, then all of it comes late
            case 2: between.set(mode::hold); d.pause(2000); between.set(mode::cut); d.pause(2000); break;
            case 3: between.set(mode::cut); std::this_thread::sleep_for(std::chrono::milliseconds(500 + d.roll(6000))); break;
            case 4: between.set(mode::hold); d.pause(1500); break;                                                                        // shorter than the lease
            default: break;
        }
        between.set(mode::forward);
    });
    s.servers.clear();  // before the way to their database goes
    std::cout << "answers held back and cut " << kinds[0] << ", held over the lease " << kinds[1] << ", held and cut " << kinds[2] << ", cut " << kinds[3] << ", held shortly " << kinds[4] << std::endl;
    return code;
}

// A batch is committed and nobody told; the connection comes back until the writer looks its keys up, and is then away for longer than
// commands are kept. Whoever still waits for their answer may not hear that nothing was charged.
int cut_twice(const options& o, const fs::path& folder) {
    site s(o, folder, folder / "data", "");
    fs::create_directories(folder / "proxy");
    proxy between(folder / "proxy", s.pg.folder());
    s.add_server(folder / "proxy");
    s.longest_wait = 12s;
    const auto code = rounds_of(o, s, "connection cut again while the unknown was asked for", [&](dice&) {
        using mode = proxy::mode;
        between.set(mode::hold_answers);
        std::this_thread::sleep_for(200ms);
        between.set(mode::cut);
        std::this_thread::sleep_for(300ms);
        between.forward_until("known_gift");
        std::this_thread::sleep_for(1500ms);
        between.set(mode::cut);
        std::this_thread::sleep_for(6s);
        between.set(mode::forward);
    });
    s.servers.clear();
    return code;
}

// ---- what needs mounts, which nobody else sees and which go with this process ----

void own_mounts() {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) throw not_run("mounting is not permitted here");
}
void shell(const std::string& command, const std::string& else_say = {}) {
    if (std::system(("{ " + command + "; } 2>/dev/null").c_str()) != 0) throw not_run(else_say.empty() ? command + " failed" : else_say);
}

// Gone with its owner, whatever happens.
class mounted {
public:
    explicit mounted(fs::path at) : at_(std::move(at)) { fs::create_directories(at_); }
    ~mounted() { umount2(at_.c_str(), MNT_DETACH); }
    mounted(const mounted&) = delete;
    mounted& operator=(const mounted&) = delete;
    void memory(const std::string& size) const {
        // PostgreSQL's user makes its folders there.
        if (mount("tmpfs", at_.c_str(), "tmpfs", 0, ("size=" + size + ",mode=0777").c_str()) != 0) throw not_run("mounting a tmpfs is not permitted here");
    }
    [[nodiscard]] bool image(const fs::path& file) const { return std::system(("mount -o loop '" + file.string() + "' '" + at_.string() + "' 2>/dev/null").c_str()) == 0; }
    [[nodiscard]] fs::path operator/(const char* name) const { return at_ / name; }

private:
    fs::path at_;
};

// A disk has room for nothing more; then it has again. In turn the one of the rows, the one of the log (which PostgreSQL does not
// survive), and both.
int disk_full(const options& o, const fs::path& folder) {
    const mounted rows(folder / "rows"), wal(folder / "wal");
    rows.memory("500m");
    wal.memory("200m");
    const std::array<fs::path, 2> ballasts{rows / "ballast", wal / "ballast"};
    int ends = 0, next = 0;
    int code = 1;
    {
        // Small segments, none kept: the log needs room all the time.
        site s(o, folder, rows / "data", "wal_recycle = off\nmin_wal_size = 2MB\nmax_wal_size = 32MB\n", {"--wal-segsize=1", "--waldir=" + (wal / "wal").string()});
        s.add_server();
        code = rounds_of(o, s, "full disk", [&](dice& d) {
            const auto kind = next++ % 3;
            for (std::size_t i = 0; i < ballasts.size(); ++i) {
                if (kind == (i == 0 ? 1 : 0)) continue;
                std::ofstream ballast(ballasts[i], std::ios::binary);
                const std::string block(4096, 'x');
                while (ballast.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
                }
            }
            // Until it is felt: no acknowledgement for a second.
            const auto felt = wait_for([&] {
                const auto before = s.said.acknowledgements();
                std::this_thread::sleep_for(1s);
                return s.said.acknowledgements() == before;
            }, 60s);
            if (!felt) s.violation("the full disk was not felt");
            d.pause(2000);
            for (const auto& b : ballasts) fs::remove(b);
            // It may have given up, and cannot recover before there is room.
            std::this_thread::sleep_for(200ms);
            if (!wait_for([&] { return s.pg.ended() || PQping(s.db->owner().c_str()) == PQPING_OK; }, 60s)) s.pg.kill9();
            if (!s.pg.ended()) return;
            ++ends;
            s.pg.start();
        });
        std::ifstream log(s.pg.log());
        int panics = 0;
        for (std::string line; std::getline(log, line);) panics += line.find("PANIC") != std::string::npos;
        std::cout << "PostgreSQL had panicked " << panics << " times and given up " << ends << " times" << std::endl;
    }
    return code;
}

// The data lies on a disk image; a copy-on-write clone of the image is what a disk holds when the power goes: all that was written
// to it, nothing of what the kernel had yet to write. Where `must_lose`, the settings make PostgreSQL careless, and the test must see it.
int power_cut(const options& o, const fs::path& folder, const std::string& settings, bool must_lose) {
    shell("PATH=$PATH:/sbin:/usr/sbin command -v mkfs.xfs >/dev/null", "there is no mkfs.xfs (Debian: xfsprogs)");
    const mounted outer(folder / "outer"), disk(folder / "disk");
    const auto whole = folder / "outer.img", image = outer / "disk.img", clone = outer / "cut.img";
    shell("PATH=$PATH:/sbin:/usr/sbin; truncate -s 3G '" + whole.string() + "' && mkfs.xfs -q -m reflink=1 '" + whole.string() + "'");
    if (!outer.image(whole)) throw not_run("a loop mount of XFS is refused here");
    shell("PATH=$PATH:/sbin:/usr/sbin; truncate -s 900M '" + image.string() + "' && mkfs.ext4 -q '" + image.string() + "'");
    if (!disk.image(image)) throw not_run("a loop mount of ext4 is refused here");
    int code = 1;
    std::size_t lost = 0, looked_at = 0;
    {
        site s(o, folder, disk / "data", settings);
        s.quiet_about_loss = must_lose;
        s.add_server();
        const auto clean = rounds_of(o, s, settings.empty() ? "power cut" : "power cut with " + settings, [&](dice&) {
            std::vector<acknowledged> before;
            {
                std::scoped_lock lock(s.said.mutex);
                before = s.said.acks;
            }
            const int from = open(image.c_str(), O_RDONLY | O_CLOEXEC), to = open(clone.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
            const bool cloned = ioctl(to, FICLONE, from) == 0;
            close(from);
            close(to);
            if (!cloned) throw not_run("the file system cannot clone");
            const mounted cut(folder / "cut");
            try {
                if (!cut.image(clone)) throw std::runtime_error("what the disk held cannot be mounted");
                cluster recovered(folder / "cut-pg", cut / "data", "");
                books journal;
                auto database = s.db->owner();
                database.replace(database.find(s.pg.folder().string()), s.pg.folder().string().size(), recovered.folder().string());
                journal.read(database);
                looked_at += before.size();
                lost += s.check(before, journal);
                if (!must_lose) s.verify(database);
            } catch (const std::exception& e) {
                // Nothing at all could be recovered.
                if (!must_lose) s.violation(e.what());
                looked_at += before.size();
                lost += before.size();
            }
            fs::remove(clone);
        });
        code = !must_lose ? clean : lost > 0 ? 0 : 1;
    }
    if (!must_lose) std::cout << counted(looked_at) << " acknowledgements looked for behind the cuts, " << lost << " lost" << std::endl;
    else std::cout << (lost > 0 ? "ok    " : "WRONG ") << "with " << settings << " " << counted(lost) << " of " << counted(looked_at) << " were lost: the test " << (lost > 0 ? "sees it" : "is blind") << std::endl;
    return code;
}

int run(options& o) {
    if (o.seed == 0) o.seed = std::random_device()() | 1U;
    std::cout << o.name << ", seed " << o.seed << std::endl;
    const bool mounts = o.name == "disk_full" || o.name.starts_with("power_cut");
    try {
        if (mounts) own_mounts();
        scratch folder(o.folder);
        int code = 1;
        try {
            const auto& at = folder.path();
            code = o.name == "kill9_server"      ? kill9_server(o, at)
                   : o.name == "kill9_postgres"  ? kill9_postgres(o, at)
                   : o.name == "kill9_both"      ? kill9_both(o, at)
                   : o.name == "takeover"        ? takeover(o, at)
                   : o.name == "forwarding"      ? forwarding(o, at)
                   : o.name == "stale_command"   ? stale_command(o, at)
                   : o.name == "cut_twice"       ? cut_twice(o, at)
                   : o.name == "partition"       ? partition(o, at)
                   : o.name == "disk_full"       ? disk_full(o, at)
                   : o.name == "power_cut"       ? power_cut(o, at, "", false)
                   // The writer asks for synchronous commits by itself, whatever the cluster's file says.
                   : o.name == "power_cut_async" ? power_cut(o, at, "synchronous_commit = off", false)
                                                 : power_cut(o, at, "fsync = off", true);
        } catch (const not_run&) {
            throw;
        } catch (const std::exception& e) {
            std::cout << "WRONG " << e.what() << std::endl;
        }
        folder.keep = o.keep && code != 0;
        if (folder.keep) std::cout << "kept " << folder.path().string() << std::endl;
        return code;
    } catch (const not_run& e) {
        std::cout << "not run: " << e.what() << std::endl;
        return 77;
    }
}
}  // namespace

int main(int argc, char** argv) {
    CLI::App app("faults under the ledger");
    options o;
    app.add_option("--ovation", o.binary)->required();
    app.add_option("--case", o.name)->required()->check(CLI::IsMember({"forwarding", "kill9_server", "kill9_postgres", "kill9_both", "takeover", "stale_command", "partition", "cut_twice", "disk_full", "power_cut", "power_cut_async", "power_cut_careless"}));
    app.add_option("--rounds", o.rounds)->check(CLI::Range(1, 10'000));
    app.add_option("--clients", o.clients)->check(CLI::Range(4, 500));
    app.add_option("--seed", o.seed);
    app.add_option("--dir", o.folder, "where the cluster lies; default /tmp");
    app.add_flag("--keep", o.keep, "leave the folder after a failure");
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    for (const int s : {SIGINT, SIGTERM}) std::signal(s, [](int) { interrupted = true; });
    crypto::start();
    log::start("error");
    return run(o);
}
