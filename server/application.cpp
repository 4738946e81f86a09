#include "server/application.hpp"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "channels/service.hpp"
#include "gifts/bumps.hpp"
#include "gifts/service.hpp"
#include "ledger/routes.hpp"
#include "ledger/service.hpp"
#include "payments/back_office.hpp"
#include "rooms/service.hpp"
#include "server/listener.hpp"
#include "server/nodes.hpp"
#include "server/schema.hpp"
#include "server/sql.hpp"
#include "server/trends.hpp"
#include "server/sealer.hpp"
#include "server/ways_to_pay.hpp"
#include "songs/rendition.hpp"
#include "songs/service.hpp"

namespace ovation::server {
namespace {

std::vector<std::string> split(const std::string& list) {
    std::vector<std::string> out;
    std::size_t from = 0;
    while (from <= list.size()) {
        const auto comma = std::min(list.find(',', from), list.size());
        const auto one = text::trim(std::string_view(list).substr(from, comma - from));
        if (!one.empty()) out.emplace_back(one);
        from = comma + 1;
    }
    return out;
}

std::vector<std::string> read_words(const std::string& path) {
    std::vector<std::string> out;
    if (path.empty()) return out;
    std::ifstream in(path);
    std::error_code failed;
    if (!in || !std::filesystem::is_regular_file(path, failed)) throw std::runtime_error(fmt::format("words_file: cannot read {}; name a text file that is there, or leave it empty.", path));
    for (std::string line; std::getline(in, line);)
        if (const auto word = text::trim(line); !word.empty() && word.front() != '#') out.emplace_back(word);
    if (in.bad()) throw std::runtime_error(fmt::format("words_file: cannot read {} to its end.", path));
    return out;
}

// ---- the interfaces that folders own, answered by folders that they may not include ----

struct wallet_opener final : identity::account_opener {
    explicit wallet_opener(cores& c) : all(c) {}
    awaitable<result<void>> open(user_id user) override { return ledger::open_wallet(all.db(), user); }
    cores& all;
};
struct routes_from_contracts final : rooms::route_maker {
    explicit routes_from_contracts(channels::service& s) : channels(s) {}
    awaitable<result<route_id>> make(channel_id channel, user_id singer, bool licensed) override { return channels.route_of(channel, singer, licensed); }
    std::uint64_t changes() override { return channels.changes(); }
    channels::service& channels;
};
struct routes_from_stage final : gifts::route_source {
    awaitable<result<gifts::stage_route>> route_of(room_id id, user_id to_singer) override {
        return ask(hall->home_of(id), [](rooms::hall& h, room_id room, user_id singer) -> awaitable<result<gifts::stage_route>> {
            OVATION_CO_TRY(auto here, co_await h.find(room));
            OVATION_CO_TRY(const auto r, co_await here->stage_route(singer));
            co_return gifts::stage_route{r.route, r.singer, r.performance, r.song_position};
        }(*hall, id, to_singer));
    }
    awaitable<result<gifts::stage_route>> route_of_recording(std::int64_t recording, user_id to_singer) override {
        OVATION_CO_TRY(const auto target, co_await kept->target_of(recording, to_singer));
        OVATION_CO_TRY(const auto route, co_await channels->route_of(target.channel, target.singer, target.licensed));
        co_return gifts::stage_route{route, target.singer, target.performance, std::nullopt};
    }
    rooms::hall* hall = nullptr;
    rooms::recordings* kept = nullptr;
    channels::service* channels = nullptr;
};
struct display_in_rooms final : gifts::gift_display {
    void show(room_id room, std::shared_ptr<const v1::GiftShown> gift, gifts::reach told_to) override {
        if (room.value <= 0) return;  // what a recording gets is seen on its page
        if (told_to != gifts::reach::room) hall->tell_others(room, gift, told_to == gifts::reach::site);
        hall->show_gift(room, std::move(gift));
    }
    rooms::hall* hall = nullptr;
};
struct journal_of_gifts final : rooms::journal_view {
    journal_of_gifts(gifts::service& s, gifts::announcer& a) : gifts(s), announcer(a) {}
    awaitable<result<rooms::missed_gifts>> gifts_since(room_id room, entry_seq after, int limit) override {
        OVATION_CO_TRY(auto told, co_await gifts.shown_since(room, after, limit));
        co_return rooms::missed_gifts{std::move(told.gifts), told.older};
    }
    entry_seq announced() override { return announcer.announced(); }
    gifts::service& gifts;
    gifts::announcer& announcer;
};
struct counter_of_gifts final : rooms::gift_counter {
    explicit counter_of_gifts(gifts::service& s) : gifts(s) {}
    awaitable<result<v1::SendGiftResponse>> send(granted who, v1::SendGiftRequest request) override { return gifts.send(std::move(who), std::move(request)); }
    awaitable<void> watched(user_id user) override { return gifts.watched(user); }
    gifts::service& gifts;
};
struct bumps_of_gifts final : rooms::bump_counter {
    explicit bumps_of_gifts(gifts::bumps& b) : bumps(b) {}
    awaitable<result<bool>> hold(rooms::bump_order o, std::optional<fault> if_new) override {
        return bumps.hold({o.key, o.user, o.room, o.show, o.request, o.coins}, std::move(if_new));
    }
    awaitable<result<void>> sung_in(show_id show, std::int64_t request, performance_id performance, route_id route) override { return bumps.sung_in(show, request, performance, route); }
    awaitable<result<void>> capture(show_id show, std::int64_t request, route_id route) override { return bumps.capture(show, request, route); }
    awaitable<result<void>> release(show_id show, std::int64_t request) override { return bumps.release(show, request); }
    awaitable<result<std::vector<rooms::paid_bump>>> paid(show_id show) override {
        OVATION_CO_TRY(const auto all, co_await bumps.paid(show));
        std::vector<rooms::paid_bump> out;
        for (const auto& b : all) out.push_back({b.request, b.user, b.performance, b.route, b.open});
        co_return out;
    }
    gifts::bumps& bumps;
};
struct supporters_of_boards final : rooms::supporters_view {
    supporters_of_boards(cores& c, gifts::boards& b) : all(c), boards(b) {}
    awaitable<result<v1::Supporters>> top_today(room_id room) override {
        v1::GetBoardRequest request;
        request.set_scope(v1::BOARD_SCOPE_ROOM);
        request.set_scope_id(room.value);
        request.set_subject(v1::BOARD_SUBJECT_SENDER);
        request.set_period(v1::BOARD_PERIOD_DAY);
        request.set_limit(5);
        OVATION_CO_TRY(auto board, co_await boards.get(all.db(), std::move(request), user_id()));
        v1::Supporters out;
        out.mutable_rows()->Swap(board.mutable_rows());
        out.set_as_of_seq(board.as_of_seq());
        co_return out;
    }
    cores& all;
    gifts::boards& boards;
};
struct wallets_of_ledger final : rooms::wallet_view {
    explicit wallets_of_ledger(ledger::service& s) : ledger(s) {}
    awaitable<result<v1::Balance>> balance_of(user_id user) override {
        OVATION_CO_TRY(const auto w, co_await ledger.wallet_of(user));
        v1::Balance out;
        out.set_coins(w.coins());
        out.set_gift_only_coins(w.gift_only_coins());
        out.set_bonus_coins(w.bonus_coins());
        co_return out;
    }
    ledger::service& ledger;
};

awaitable<result<v1::GetLiveTotalsResponse>> live_totals(cores& all, rooms::hall& hall, const trends& hour, std::string zone) {
    v1::GetLiveTotalsResponse out;
    for (const auto& r : co_await hall.live_rooms()) {
        out.set_live_rooms(out.live_rooms() + 1);
        out.set_listeners(out.listeners() + r.listeners());
    }
    OVATION_CO_TRY(auto r, co_await all.db().query(sql::totals_today, pg::with(zone)));
    out.set_gifts_today(r.number(0, 0));
    out.set_coins_today(r.number(0, 1));
    out.set_top_ups_today(r.number(0, 2));
    out.set_top_up_minor_today(r.number(0, 3));
    hour.read(out);
    co_return out;
}
}  // namespace

struct application::parts {
    explicit parts(config c)
        : options(std::move(c)),
          origins(split(options.allowed_origins)),
          all(options.cores > 0 ? static_cast<std::size_t>(options.cores) : std::max<std::size_t>(1, std::thread::hardware_concurrency()), options.database,
              static_cast<std::size_t>(options.connections_per_core)),
          workers(static_cast<std::size_t>(options.workers), 64),
          sound_workers(static_cast<std::size_t>(options.workers), 256),
          shelf(options.media_root, sound_workers),
          ended(clock),
          opener(all),
          queue({options.database, options.node_url.empty() ? fmt::format("{}:{}", options.port, ::getpid()) : options.node_url, options.time_zone, limits::ledger_queue_max, limits::ledger_batch_max}, clock, registry),
          others(all.at(0), queue, clock, registry, options.node_ca),
          books(all, queue, options.time_zone, options.seal_folder),
          channel_service(all, options.time_zone, static_cast<int>(options.vat_bp)),
          contracts(channel_service),
          announcer(clock, display),
          ranking(all.at(0), options.time_zone, options.redis, registry),
          gift_service({all, queue, clock, stage_routes, ranking, display, options.time_zone, factor()}),
          journal(gift_service, announcer),
          gift_counter(gift_service),
          bumps(all, all.at(0), queue),
          bump_counter(bumps),
          supporters(all, ranking),
          wallets(books),
          kept(all, shelf, options.recording_root),
          hall({all, clock, registry, &frame_for, contracts, journal, gift_counter, bump_counter, supporters, wallets, shelf, sound_workers, kept, read_words(options.words_file)}),
          room_service(all, hall),
          song_service(all),
          hour(all.at(0).context, clock, registry),
          money_desk(all, all.at(0), queue, registry, options.time_zone),
          payment_service({all, queue, clock, options.demo ? options.sandbox_key : std::string(), factor(), std::make_shared<payments::providers>(ways_to_pay(options)), options.bank_account, &money_desk.books(), workers}) {
        money_desk.also(payment_service);
        stage_routes.hall = &hall;
        stage_routes.kept = &kept;
        stage_routes.channels = &channel_service;
        display.hall = &hall;
        if (!options.node_url.empty()) queue.forward_by(others);
        queue.observe(announcer);
        queue.observe(ranking);
    }

    config options;
    std::vector<std::string> origins;
    system_clock_source clock;
    metrics registry;
    cores all;
    worker_pool workers;        // passwords, files of providers and banks
    worker_pool sound_workers;  // so that neither waits for the other
    songs::shelf shelf;
    identity::revocations ended;
    wallet_opener opener;
    ledger::posting_queue queue;
    nodes others;
    ledger::service books;
    channels::service channel_service;
    routes_from_contracts contracts;
    routes_from_stage stage_routes;
    display_in_rooms display;
    gifts::announcer announcer;
    gifts::boards ranking;
    gifts::service gift_service;
    journal_of_gifts journal;
    counter_of_gifts gift_counter;
    gifts::bumps bumps;
    bumps_of_gifts bump_counter;
    supporters_of_boards supporters;
    wallets_of_ledger wallets;
    rooms::recordings kept;
    rooms::hall hall;
    rooms::service room_service;
    songs::service song_service;
    trends hour;
    payments::back_office money_desk;
    payments::service payment_service;
    rpc_table table;
    access_gate gate;
    std::unique_ptr<identity::token_codec> tokens;
    std::unique_ptr<identity::service> people;
    std::unique_ptr<connect_router> rpc;
    std::unique_ptr<live_parts> live;
    std::unique_ptr<listener> door;
    sealer seals{options, registry};

    [[nodiscard]] double factor() const { return options.load_profile ? 1000 : 1; }

    // Runs a coroutine on a core and waits for it; only while starting and stopping.
    template <class T>
    T wait(core& on, awaitable<T> body) {
        std::promise<T> promise;
        auto future = promise.get_future();
        asio::co_spawn(on.context, std::move(body), [&promise](std::exception_ptr failure, T value) {
            if (failure) promise.set_exception(failure);
            else promise.set_value(std::move(value));
        });
        return future.get();
    }
    template <class T>
    T must(result<T> r, const char* what) {
        if (!r) throw std::runtime_error(fmt::format("{}: {}", what, r.error().in_full()));
        if constexpr (!std::is_void_v<T>) return std::move(*r);
    }

    void wire();
    void start_tasks();
    void stop();
};

void application::parts::wire() {
    auto& first = all.at(0);
    must(wait(first, check_schema(first.db)), "schema");
    if (auto known = wait(first, check_time_zone(first.db, options.time_zone)); !known) throw std::runtime_error(known.error().message);
    auto key = must(wait(first, identity::installation_key(first.db)), "installation key");
    others.set_key(key);
    tokens = std::make_unique<identity::token_codec>(std::move(key));
    people = std::make_unique<identity::service>(identity::service_parts{all, workers, clock, *tokens, ended, opener, factor(), options.demo});
    must(wait(first, people->load()), "people");
    must(wait(first, gift_service.load()), "gift catalogue");
    const auto head = must(wait(first, first.db.query(ledger_head, {})), "ledger");
    announcer.start_after(entry_seq(head.number(0, 0)));
    ended.on_end([this](user_id user, session_id session) { hall.close_sockets(user, session, rooms::close_session_ended, "session ended"); });

    people->register_with(table, gate);
    others.register_with(table);
    books.register_with(table);
    channel_service.register_with(table, gate);
    gift_service.register_with(table);
    room_service.register_with(table, gate);
    kept.register_with(table, gate);
    song_service.register_with(table);
    payment_service.register_with(table, gate);
    money_desk.register_with(table, gate);
    table.add<v1::GetLiveTotalsRequest, v1::GetLiveTotalsResponse>("/ovation.v1.OpsService/GetLiveTotals",
                                                                   [this](granted, v1::GetLiveTotalsRequest) { return live_totals(all, hall, hour, options.time_zone); });
    rpc = std::make_unique<connect_router>(connect_router::parts{table, gate, *people, clock, registry, origins, [this](std::string_view proof, std::string_view body) { return others.admit(proof, body); }});
    live = std::make_unique<live_parts>(live_parts{all, hall, *people, clock, {}, registry.make_counter("ovation_live_opened_total", "Sockets that entered a room."),
                                                   registry.make_counter("ovation_live_refused_total", "Live commands refused for their rate."), factor()});
    listener_options door_options{options.address, static_cast<std::uint16_t>(options.port), options.tls_cert, options.tls_key, options.web_root, options.media_root, kept.shared_folder(), options.seal_folder, origins, split(options.trusted_proxies), factor()};
    door = std::make_unique<listener>(std::move(door_options), listener_parts{all, clock, registry, *rpc, *live, payment_service, kept, [this]() -> awaitable<std::vector<std::pair<std::string, bool>>> {
                                                                                  return [](parts& p) -> awaitable<std::vector<std::pair<std::string, bool>>> {
                                                                                      const auto database = co_await p.all.db().query(ledger_head, {}, std::chrono::seconds(2));
                                                                                      co_return std::vector<std::pair<std::string, bool>>{{"database", database.has_value()}, {"ledger_writer", p.queue.is_writer() || !p.queue.writer_elsewhere().empty()}};
                                                                                  }(*this);
                                                                              }});
    live->sweepers = door->sweepers();
}

void application::parts::start_tasks() {
    queue.start();
    must(wait(all.at(0), hall.restore()), "rooms");
    for (std::size_t i = 0; i < all.count(); ++i) {
        auto& c = all.at(i);
        asio::post(c.context, [this, &c] { c.tasks.spawn("ticks", hall.ticks(c)); });
    }
    asio::post(all.at(0).context, [this] { all.at(0).tasks.spawn("recordings_left", kept.finish_left()); });
    asio::post(all.at(0).context, [this] { all.at(0).tasks.spawn("boards", ranking.run()); });
    asio::post(all.at(0).context, [this] { all.at(0).tasks.spawn("bumps", bumps.run()); });
    asio::post(all.at(0).context, [this] { all.at(0).tasks.spawn("back_office", money_desk.run()); });
    asio::post(all.at(0).context, [this] { hour.start(); });
    asio::post(all.at(0).context, [this] { gift_service.keep_loading(all.at(0)); });
    asio::post(all.at(0).context, [this] { people->keep_following(all.at(0)); });
    seals.start();
    door->start();
}

// In order: no new connections, rooms say goodbye, what waits is posted, then the loops end.
void application::parts::stop() {
    log::info("server", "stopping", "within_s={}", options.stop_within_s);
    door->stop_accepting();
    hall.stop();
    kept.stop();
    ranking.stop();
    bumps.stop();
    money_desk.stop();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    queue.stop(std::chrono::seconds(options.stop_within_s));
    seals.stop();
    door->close_idle();
    for (std::size_t i = 0; i < all.count(); ++i) {
        auto& c = all.at(i);
        const bool quiet = wait(c, c.tasks.wait(std::chrono::seconds(options.stop_within_s)));
        if (!quiet) log::warn("server", "tasks_left", "core={} count={}", i, c.tasks.size());
        c.context.stop();
    }
    all.join();
    log::info("server", "stopped", "entry_seq={}", announcer.announced().value);
}

void check_settings(const config& c) {
    (void)read_words(c.words_file);
    (void)ways_to_pay(c);
    check_seals(c);
    error_code failed;
    (void)asio::ip::make_address(c.address, failed);
    if (failed) throw std::runtime_error(fmt::format("address: {} is not an IP address.", c.address));
    if (!c.tls_cert.empty()) (void)tls_of(c.tls_cert, c.tls_key);
    else if (!c.tls_key.empty()) throw std::runtime_error("tls_cert: a key alone is no TLS; name the certificate too.");
    if (!c.redis.empty() && !c.redis.starts_with("unix:") && c.redis.find(':') == std::string::npos) throw std::runtime_error(fmt::format("redis: {} is neither unix:/path/redis.sock nor host:port.", c.redis));
    if (!c.node_url.empty() && !c.node_url.starts_with("http://") && !c.node_url.starts_with("https://")) throw std::runtime_error(fmt::format("node_url: {} is no address; write http://host:port or https://host:port.", c.node_url));
    for (const auto& origin : split(c.allowed_origins)) {
        const auto host = origin.find("://");
        if ((!origin.starts_with("https://") && !origin.starts_with("http://")) || origin.find('/', host + 3) != std::string::npos || origin.size() == host + 3)
            throw std::runtime_error(fmt::format("allowed_origins: {} is no origin; write https://example.org, without a path.", origin));
    }
    for (const auto& proxy : split(c.trusted_proxies))
        if ((void)asio::ip::make_address(proxy, failed); failed) throw std::runtime_error(fmt::format("trusted_proxies: {} is not an IP address.", proxy));
}

application::application(config options) {
    check_settings(options);
    if (options.demo && options.sandbox_key.empty()) options.sandbox_key = crypto::random_token();
    parts_ = std::make_unique<parts>(std::move(options));
}
application::~application() = default;

int application::run() {
    auto& p = *parts_;
    std::istringstream lines(effective(p.options));
    for (std::string line; std::getline(lines, line);) log::info("server", "setting", "{}", line);
    p.all.start();
    try {
        p.wire();
        p.door->open();
        p.start_tasks();
    } catch (...) {
        for (std::size_t i = 0; i < p.all.count(); ++i) p.all.at(i).context.stop();
        p.all.join();
        throw;
    }
    const auto scheme = p.options.tls_cert.empty() ? "http" : "https";
    log::info("server", "ready", "url={}://{}:{} pid={}", scheme, p.options.address, p.door->port(), ::getpid());
    std::cout << fmt::format("listening {}://{}:{}\n", scheme, p.options.address, p.door->port()) << std::flush;

    asio::io_context signals_context;
    asio::signal_set signals(signals_context, SIGINT, SIGTERM);
    signals.async_wait([](error_code, int) {});
    signals_context.run();
    p.stop();
    return 0;
}

}  // namespace ovation::server
