// The command line: one binary, subcommands.
#include <csignal>
#include <CLI/CLI.hpp>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <iostream>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "gifts/boards.hpp"
#include "identity/service.hpp"
#include "ledger/routes.hpp"
#include "server/application.hpp"
#include "server/demo.hpp"
#include "server/doctor.hpp"
#include "server/ledger_tools.hpp"
#include "server/schema.hpp"
#include "server/song_tools.hpp"
#include "server/tool.hpp"

namespace {
using namespace ovation;

using server::failed;
using server::run;
using server::tool;

int check(const config& c) {
    server::check_settings(c);
    tool t(c);
    run(t.context, server::check_time_zone(t.db, c.time_zone));
    std::cout << effective(c) << "The configuration and the schema fit this server.\n";
    return 0;
}

int doctor(const config& c) {
    tool t(c, server::schema::any);
    bool well = true;
    for (const auto& f : run(t.context, server::examine(t.db, c))) {
        static constexpr const char* words[] = {"ok", "warn", "BAD"};
        well = well && f.how != server::finding::grade::bad;
        std::cout << fmt::format("{:<15} {:<5} {}\n", f.name, words[static_cast<int>(f.how)], f.detail);
    }
    return well ? 0 : 1;
}

struct user_arguments {
    std::string handle, name, password;
    std::vector<std::string> roles;
};
role_set roles_of(const std::vector<std::string>& names) {
    role_set out;
    out.add(v1::ROLE_AUDIENCE);
    for (const auto& n : names) {
        std::string upper = "ROLE_";
        for (const char c : n) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        v1::Role role{};
        if (!v1::Role_Parse(upper, &role) || role < v1::ROLE_AUDIENCE || role > v1::ROLE_INTEGRATOR) throw failed{fmt::format("roles: there is no role \"{}\"; audience, singer, agent, ops, finance, integrator.", n)};
        out.add(role);
    }
    return out;
}

int create_user(const config& c, const user_arguments& a) {
    tool t(c);
    const auto roles = roles_of(a.roles);
    const auto id = run(t.context, [](tool& x, user_arguments u, role_set r, bool demo) -> awaitable<result<std::int64_t>> {
        OVATION_CO_CHECK(identity::check_password(u.password));
        OVATION_CO_TRY(const auto user, co_await identity::create_user(x.db, {u.handle, u.name.empty() ? u.handle : u.name, crypto::hash_password(u.password), r, demo}));
        OVATION_CO_CHECK(co_await ledger::open_wallet(x.db, user));
        co_return user.value;
    }(t, a, roles, c.demo));
    std::cout << fmt::format("user {} ({})\n", id, a.handle);
    return 0;
}

const pg::statement grant_by_handle{"cli_grant", "update identity.users set roles = roles | $2::int where issuer = 'ovation' and subject = $1 returning id"};
int grant(const config& c, const user_arguments& a) {
    tool t(c);
    const auto roles = roles_of(a.roles);
    auto rows = run(t.context, [](tool& x, std::string handle, std::int64_t bits) -> awaitable<result<int>> {
        OVATION_CO_TRY(auto r, co_await x.db.query(grant_by_handle, pg::with(handle, bits)));
        co_return r.size();
    }(t, a.handle, roles.bits()));
    if (rows == 0) throw failed{fmt::format("handle: there is nobody called {}.", a.handle)};
    std::cout << "granted; it holds from the next log-in on\n";
    return 0;
}

// The library says only that a subcommand is required. Empty: there was another mistake.
std::string unknown_command(CLI::App& app, int argc, char** argv) {
    auto* level = &app;
    std::string path = "ovation";
    for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
        const auto known = level->get_subcommands([](CLI::App*) { return true; });
        if (known.empty()) return {};
        const auto next = std::ranges::find_if(known, [&](CLI::App* one) { return one->check_name(argv[i]); });
        if (next == known.end()) return fmt::format("There is no command \"{}\"; `{} --help` lists them.", argv[i], path);
        level = *next;
        path += std::string(" ") + argv[i];
    }
    return {};
}
}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    CLI::App app("Ovation: a live-karaoke server. A singer goes live, the room hears one clock, gifts are paid before they are seen.");
    app.require_subcommand(1);
    app.set_version_flag("--version", OVATION_VERSION);
    app.footer("Every setting is a flag, a variable OVATION_NAME, or a key of the TOML file given with --config.\ndocs/operating.md is the operator's manual.");

    config options;
    std::string config_file;
    std::map<std::string, std::string> given;
    const auto with_settings = [&](CLI::App* sub) {
        sub->add_option("--config", config_file, "TOML file with settings.");
        for (const auto& s : settings()) {
            if (std::holds_alternative<bool config::*>(s.field)) sub->add_flag_callback(flag_of(s), [&given, name = std::string(s.name)] { given[name] = "true"; }, s.help);
            else sub->add_option_function<std::string>(flag_of(s), [&given, name = std::string(s.name)](const std::string& v) { given[name] = v; }, s.help);
        }
        return sub;
    };
    auto* serve = with_settings(app.add_subcommand("serve", "Run the server."));
    auto* migrate = with_settings(app.add_subcommand("migrate", "Bring the database's schema up to this binary."));
    auto* check_command = with_settings(app.add_subcommand("check", "Check configuration and schema; changes nothing."));
    auto* doctor_command = with_settings(app.add_subcommand("doctor", "Look at the running installation: PostgreSQL, Redis, disk, clock. Changes nothing; exit 1 when something is BAD."));
    auto* ledger_command = app.add_subcommand("ledger", "The books.")->require_subcommand(1);
    server::ledger_arguments books;
    auto* verify_command = with_settings(ledger_command->add_subcommand("verify", "Check everything: sums, balances, numbers, keys, splits, the tree of entries. Exit 1 when something is wrong."));
    verify_command->add_option("--seals", books.folder, "Folder of seals: the books must hold what each of its checkpoints signed.");
    auto* books_export = with_settings(ledger_command->add_subcommand("export", "Write the books for hledger or beancount."));
    books_export->add_option("--format", books.format, "hledger (default) or beancount.");
    auto* books_rebuild = with_settings(ledger_command->add_subcommand("rebuild", "Count every balance and day's spending again from the journal, as the owner's role (--owner-database)."));
    auto* seal_command = with_settings(ledger_command->add_subcommand("seal", "Sign a checkpoint of all entries into a folder outside the database; what was sealed stays."));
    seal_command->add_option("folder", books.folder, "Folder of seals: a C2SP tlog-tiles log, fit to be served as it is.")->required();
    seal_command->add_option("--signer", books.signer_file, "File with the signer's key; made when there is none.")->required();
    seal_command->add_option("--origin", books.origin, "Name of a key that is made; stands in each checkpoint.");
    auto* prove_command = with_settings(ledger_command->add_subcommand("prove", "Write a proof to the output: that an entry is in the newest checkpoint, or that this goes on from an older one."));
    prove_command->add_option("folder", books.folder, "Folder of seals.")->required();
    prove_command->add_option("entry", books.seq, "Number of the entry.");
    prove_command->add_option("--from", books.from, "Size of an older checkpoint of the folder.");
    auto* close_command = with_settings(ledger_command->add_subcommand("close", "Close a month by a marker and write its signed pack: trial balance, coins, receivables, VAT, withholding, payouts, the difference to the bank. Again it writes the same."));
    close_command->add_option("month", books.month, "YYYY-MM, a month that is over.")->required();
    close_command->add_option("--folder", books.folder, "Where the pack goes, into a folder of the month's name.")->required();
    close_command->add_option("--signer", books.signer_file, "File with the signer's key; made when there is none.")->required();
    close_command->add_option("--bank", books.bank_file, "The bank's statement of the month, ISO 20022 camt.053.");
    close_command->add_option("--by", books.by, "Log-in name of whoever closes it; has the role finance.")->required();
    close_command->add_option("--reason", books.reason, "Kept in the audit trail.");
    auto* restored_command = with_settings(ledger_command->add_subcommand("restored", "After a backup was restored: post a marker that says so, and have the boards counted again."));
    restored_command->add_option("--by", books.by, "Log-in name of whoever restored it; has the role finance.")->required();
    restored_command->add_option("--reason", books.reason, "Which backup, and why; kept in the audit trail.")->required();
    auto* check_proof_command = ledger_command->add_subcommand("check", "Check a proof, or the manifest of a closed month; needs no server and no database. Exit 1 when it does not hold.");
    check_proof_command->add_option("file", books.file, "The proof.")->required();
    for (auto* sub : {verify_command, prove_command, check_proof_command})
        sub->add_option("--verifier", books.verifier, "Whose signature counts: the key that seal printed, or a file that holds it; by default `verifier` in the folder.");
    auto* dump_command = with_settings(ledger_command->add_subcommand("dump", "One line a posting: seq, kind, key, account, version, amount, balance after (micros)."));
    auto* boards_command = app.add_subcommand("boards", "Leaderboards.")->require_subcommand(1);
    auto* rebuild_command = with_settings(boards_command->add_subcommand("rebuild", "Count all boards again from the books."));
    auto* songs_command = app.add_subcommand("songs", "The catalogue.")->require_subcommand(1);
    server::song_arguments song;
    auto* import_command = with_settings(songs_command->add_subcommand("import", "Read UltraStar (.txt) and LRC files of a folder; renditions and guide tracks are made, a missing backing from the notes."));
    import_command->add_option("folder", song.path, "Folder, or one file.")->required();
    import_command->add_option("--encoding", song.encoding, "What the files are written in, when they do not say: CP1250, CP1252, KOI8-R, CP865, …");
    import_command->add_option("--keys", song.keys, "Renditions to make, in semitones: \"0\" or \"-6:6\" (default).");
    auto* lint_command = songs_command->add_subcommand("lint", "Name each deviation of song files with its line; exit 1 when one cannot be read.");
    lint_command->add_option("path", song.path, "File or folder.")->required();
    lint_command->add_option("--encoding", song.encoding, "See import.");
    auto* export_command = with_settings(songs_command->add_subcommand("export", "Write a song of the catalogue as UltraStar or LRC text, UTF-8."));
    export_command->add_option("song", song.id, "Its id.")->required();
    auto* score_command = with_settings(songs_command->add_subcommand("score", "Judge an Ogg Opus voice (position 0 = its first sample) against a song file or a song's id; or judge a stored take again."));
    score_command->add_option("file", song.path, "Ogg Opus file of the voice alone, or take:PERFORMANCE:SINGER.")->required();
    score_command->add_option("song", song.song, "UltraStar file, or the id of a song.")->required();
    score_command->add_option("--rules", song.rules, "ovation-1 (default) or usdx-1.");
    score_command->add_option("--level", song.level, "easy, medium (default) or hard.");
    score_command->add_option("--offset-ms", song.offset_ms, "Milliseconds by which the voice is late.");
    auto* users_command = app.add_subcommand("users", "People.")->require_subcommand(1);
    user_arguments person;
    auto* create_command = with_settings(users_command->add_subcommand("create", "Make an account."));
    auto* grant_command = with_settings(users_command->add_subcommand("grant", "Give roles to an account."));
    for (auto* c : {create_command, grant_command}) {
        c->add_option("handle", person.handle, "Name for log-in.")->required();
        auto* role = c->add_option("--role", person.roles, "singer, agent, ops, finance, integrator; may be repeated.");
        if (c == grant_command) role->required();
    }
    create_command->add_option("--name", person.name, "Display name.");
    create_command->add_option("--password", person.password, "At least 8 bytes.")->required();
    auto* demo_command = with_settings(app.add_subcommand("demo", "Fill a demo server: people, a channel, rooms, and bots that sing, chat and give."));
    server::demo_options demo;
    demo_command->add_option("--url", demo.url, "The server, http://127.0.0.1:8080.");
    demo_command->add_option("--ca", demo.ca, "PEM file of the authority that an https:// server's certificate comes from; empty: the system's.");
    demo_command->add_option("--seconds", demo.seconds, "How long the bots stay; 0: until Ctrl-C, −1: only people and rooms.");
    auto* publish_command = app.add_subcommand("publish", "Go on stage and send an Ogg Opus file as the voice.");
    server::publish_options publish;
    publish_command->add_option("file", publish.file, "Ogg Opus file, 20 ms packets.")->required();
    publish_command->add_option("--url", publish.url, "The server.");
    publish_command->add_option("--ca", publish.ca, "PEM file of the authority that an https:// server's certificate comes from; empty: the system's.");
    publish_command->add_option("--handle", publish.handle, "The singer's log-in.")->required();
    publish_command->add_option("--password", publish.password, "The singer's password.")->required();
    publish_command->add_option("--room", publish.room, "The room's number.")->required();
    publish_command->add_option("--song", publish.song, "The song's number; 0: talk.");
    publish_command->add_option("--seconds", publish.seconds, "At most so long; 0: the whole file.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        const auto unknown = unknown_command(app, argc, argv);
        if (unknown.empty()) return app.exit(e);
        std::cerr << unknown << '\n';
        return e.get_exit_code();
    }

    try {
        crypto::start();
        const auto must = [](result<void> r) {
            if (!r) throw failed{r.error().in_full()};
        };
        if (!config_file.empty()) must(read_config_file(options, config_file));
        must(read_environment(options));
        for (const auto& s : settings())
            if (const auto at = given.find(s.name); at != given.end()) must(assign(options, s, at->second));
        if (options.owner_database.empty()) options.owner_database = options.database;
        if (options.tls_cert.empty() != options.tls_key.empty()) throw failed{"tls_cert and tls_key: give both or none."};
        log::start(options.log_level);

        if (*serve) return server::application(options).run();
        if (*migrate) {
            asio::io_context context(1);
            std::cout << fmt::format("{} migrations applied\n", run(context, server::migrate(context, options.owner_database)));
            return 0;
        }
        if (*check_command) return check(options);
        if (*doctor_command) return doctor(options);
        if (*verify_command) return server::verify_books(options, books);
        if (*dump_command) return server::dump_books(options);
        if (*books_export) return server::export_books(options, books);
        if (*books_rebuild) return server::rebuild_books(options);
        if (*seal_command) return server::seal_books(options, books);
        if (*prove_command) return server::prove(options, books);
        if (*close_command) return server::close_month(options, books);
        if (*restored_command) return server::note_restore(options, books);
        if (*check_proof_command) return server::check_proof(books);
        if (*rebuild_command) {
            tool t(options);
            run(t.context, server::check_time_zone(t.db, options.time_zone));
            std::cout << fmt::format("{} buckets counted\n", run(t.context, gifts::rebuild_boards(t.db, options.time_zone, options.redis)));
            return 0;
        }
        if (*import_command) return server::import_songs(options, song);
        if (*lint_command) return server::lint_songs(song);
        if (*export_command) return server::export_song(options, song);
        if (*score_command) return server::score_song(options, song);
        if (*create_command) return create_user(options, person);
        if (*grant_command) return grant(options, person);
        if (*demo_command) return server::run_demo(demo);
        if (*publish_command) return server::run_publish(publish);
    } catch (const failed& f) {
        std::cerr << f.sentence << '\n';
        return 2;
    } catch (const std::exception& e) {
        std::cerr << e.what() << '\n';
        return 2;
    }
    return 0;
}
