// The house that the fault tests break: a PostgreSQL of its own, one or more servers on it, the load, and what is checked against
// the books after each fault.
#pragma once
#include <iostream>
#include <memory>

#include "ovation/v1/channel.pb.h"
#include "ovation/v1/room.pb.h"
#include "tests/fault/books.hpp"
#include "tests/fault/crowd.hpp"
#include "tests/fault/processes.hpp"
#include "tests/support/database.hpp"

namespace ovation::fault_test {

struct options {
    std::string binary, folder, name;
    int rounds = 3, clients = 32;
    unsigned seed = 0;
    bool keep = false;
};
struct not_run : std::runtime_error {
    using std::runtime_error::runtime_error;
};
std::atomic<bool> interrupted{false};

// A thousands' space makes long counts readable.
std::string counted(std::size_t n) {
    auto out = std::to_string(n);
    for (auto at = static_cast<int>(out.size()) - 3; at > 0; at -= 3) out.insert(static_cast<std::size_t>(at), 1, ' ');
    return out;
}

// One cluster, some servers on it, a recording to give to (which needs no show), and people who give.
class site {
public:
    site(const options& o, const fs::path& folder, const fs::path& data, const std::string& settings, const std::vector<std::string>& more = {}) : options_(o), folder_(folder), pg(folder / "pg", data, settings, more) {
        setenv("DEV_TEST_PG", pg.folder().c_str(), 1);
        db = std::make_unique<test::database>();
    }
    ~site() { finish(false); }
    site(const site&) = delete;
    site& operator=(const site&) = delete;

    // `through`: the folder of the socket, if not PostgreSQL's own.
    void add_server(const std::string& through = {}, bool node = false) {
        const auto name = "server" + std::to_string(servers.size());
        auto database = db->app() + " application_name=" + name;
        if (!through.empty()) database.replace(database.find(pg.folder().string()), pg.folder().string().size(), through);
        servers.push_back(std::make_unique<server_process>(options_.binary, database, "", folder_ / (name + ".log"), node));
    }
    void start_load() {
        const auto to = servers.front()->where();
        make_person(to, "storm-agent");
        make_person(to, "storm-singer");
        db->as_owner("update identity.users set roles = roles | 24 where subject in ('storm-agent', 'storm-singer')");
        client::rpc agent(to);
        agent.token = log_in(to, "storm-agent");
        v1::CreateChannelRequest channel;
        channel.set_name("storm");
        v1::CreateRoomRequest room;
        room.set_channel_id(must(agent.call<v1::Channel>("ChannelService/CreateChannel", channel), "channel").id());
        room.set_name("storm");
        room.set_singer_handle("storm-singer");
        const auto room_id = must(agent.call<v1::Room>("RoomService/CreateRoom", room), "room").id();
        db->as_owner("insert into songs.song (content_hash, title, artist, duration_samples, source, lyrics) values ('storm', 'Storm', 'Storm', 48000, '', '[]')");
        db->as_owner("insert into rooms.show (room_id, ended_at) values (" + std::to_string(room_id) + ", now())");
        db->as_owner("insert into rooms.performance (show_id, singer_id, song_id, ended_at) select h.id, u.id, s.id, now() from rooms.show h, identity.users u, songs.song s where u.subject = 'storm-singer'");
        db->as_owner("insert into rooms.recording (performance_id, token, state) select id, 'storm-storm-storm-storm', 'ready' from rooms.performance");
        db->as_owner("insert into rooms.recording_part (recording_id, singer_id, consented_at) select r.id, p.singer_id, now() from rooms.recording r join rooms.performance p on p.id = r.performance_id");
        people_ = make_people(to, "storm", options_.clients);
        db->as_owner("update ledger.wallet set daily_limit = 1000000000000");
        load what;
        for (const auto& s : servers) what.servers.push_back(s->where());
        what.gift.set_recording_id(db->number("select id from rooms.recording"));
        what.gift.set_price_version(1);
        what.seed = options_.seed;
        what.pack_when_dry = 2;
        what.limit = 1s;
        what.long_limit = longest_wait;
        what.more = [this] { return !over_; };
        what.hopeless = [this] { return hopeless_.load(); };
        gift_ = what.gift;
        crowd_ = std::make_unique<crowd>(std::move(what), said, people_);
    }
    // To the recording, with nothing else filled in.
    [[nodiscard]] const v1::SendGiftRequest& gift() const { return gift_; }
    // So many more acknowledgements; false: the load stands still.
    bool wait_for_load(std::size_t more, std::chrono::milliseconds limit = 60s) {
        const auto from = said.acknowledgements();
        if (wait_for([&] { return interrupted || said.acknowledgements() >= from + more; }, limit)) return !interrupted;
        violation("the load stood still for " + std::to_string(limit.count() / 1000) + " s");
        return false;
    }
    // Of server n that holds the head: n; −1: nobody does.
    [[nodiscard]] int holder() const {
        return static_cast<int>(db->number("select coalesce((select right(a.application_name, 1)::int from ledger.head h join pg_stat_activity a on a.pid = h.backend_pid and a.backend_start = h.backend_start), -1)"));
    }
    [[nodiscard]] std::int64_t epoch() const { return db->number("select writer_epoch from ledger.head"); }

    // All that was told before must be in the books of `database`.
    void check(const std::string& database, books& journal) {
        std::vector<acknowledged> acks;
        {
            std::scoped_lock lock(said.mutex);
            acks.assign(said.acks.begin() + static_cast<std::ptrdiff_t>(journal_checked_), said.acks.end());
        }
        journal.read(database);
        journal_checked_ += acks.size();
        check(acks, journal);
        verify(database);
    }
    std::size_t check(const std::vector<acknowledged>& acks, const books& journal) {
        std::size_t lost = 0;
        for (const auto& a : acks)
            if (!journal.has(a)) {
                ++lost;
                if (!quiet_about_loss) violation("acknowledged and not so in the books: " + a.key + " seq " + std::to_string(a.seq));
            }
        if (journal.doubled != 0) violation("a key was posted twice");
        if (journal.backwards != 0) violation("two rows have one number");
        if (journal.below_zero != 0) violation("a wallet was below zero");
        std::scoped_lock lock(said.mutex);
        for (const auto& key : said.refused)
            if (journal.knows(key) && reported_.insert(key).second) violation("refused, and yet in the books: " + key);
        return lost;
    }
    void verify(const std::string& database) {
        const auto command = options_.binary + " ledger verify --database '" + database + "' >'" + (folder_ / "verify.out").string() + "' 2>&1";
        if (std::system(command.c_str()) == 0) return;
        violation("ledger verify is not clean");
        std::ifstream in(folder_ / "verify.out");
        std::cout << in.rdbuf();
    }
    void check() { check(db->owner(), journal_); }
    void violation(const std::string& what) {
        if (++violations_ <= 10) std::cout << "WRONG " << what << std::endl;
    }
    // The last answers, and the whole journal once more from its beginning.
    int finish(bool well) {
        if (!crowd_) return 1;
        over_ = true;
        if (!well) hopeless_ = true;
        crowd_->join();
        crowd_.reset();
        if (!well) return 1;
        books whole;
        journal_checked_ = 0;
        check(db->owner(), whole);
        posted_ = whole.size();
        if (said.unanswered != 0) violation(std::to_string(said.unanswered) + " commands were never answered");
        for (const auto& [kind, example] : said.complaints) violation(kind + ": " + example);
        if (said.refusals["key_reused"] == 0 || said.replays == 0) violation("no replay or no conflict happened");
        return violations_ == 0 ? 0 : 1;
    }
    void print(int rounds, const std::string& what) {
        std::cout << rounds << " × " << what << ": " << counted(said.acks.size()) << " acknowledged, " << violations_ + std::max<std::int64_t>(said.wrong - static_cast<std::int64_t>(said.complaints.size()), 0) << " violations (seed " << options_.seed << "; "
                  << counted(posted_) << " postings, " << counted(static_cast<std::size_t>(said.replays.load())) << " replays";
        for (const auto& [reason, n] : said.refusals) std::cout << ", " << n << " " << reason;
        std::cout << "; asked again after";
        for (const auto& [reason, n] : said.retries) std::cout << " " << reason << " " << n;
        std::cout << ")" << std::endl;
    }

private:
    const options& options_;
    fs::path folder_;
    std::vector<person> people_;
    v1::SendGiftRequest gift_;
    std::atomic<bool> over_{false}, hopeless_{false};
    std::size_t journal_checked_ = 0, posted_ = 0;
    std::int64_t violations_ = 0;
    std::set<std::string> reported_;
    books journal_;

public:
    cluster pg;
    std::unique_ptr<test::database> db;
    std::vector<std::unique_ptr<server_process>> servers;
    told said;
    bool quiet_about_loss = false;
    std::chrono::milliseconds longest_wait = 6s;  // of one client in four

private:
    std::unique_ptr<crowd> crowd_;
};

class dice {
public:
    explicit dice(unsigned seed) : random_(seed) {}
    int roll(int most) { return std::uniform_int_distribution<int>(0, most - 1)(random_); }
    void pause(int most_ms) { std::this_thread::sleep_for(std::chrono::milliseconds(roll(most_ms + 1))); }

private:
    std::mt19937 random_;
};

}  // namespace ovation::fault_test
