#include "server/song_tools.hpp"

#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "server/sql.hpp"
#include "server/tool.hpp"
#include "songs/import.hpp"
#include "songs/ogg_opus.hpp"
#include "songs/scorer.hpp"

namespace ovation::server {
namespace {
namespace fs = std::filesystem;

std::string file_bytes(const fs::path& p) {
    std::ifstream in(p, std::ios::binary);
    if (!in || fs::is_directory(p)) throw failed{fmt::format("{} cannot be read.", p.string())};
    std::ostringstream bytes;
    bytes << in.rdbuf();
    return std::move(bytes).str();
}
std::int64_t whole(std::string_view text, std::string_view what) {
    std::int64_t out = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (bad != std::errc{} || end != text.data() + text.size()) throw failed{fmt::format("{}: \"{}\" is not a whole number.", what, text)};
    return out;
}
std::vector<int> keys_of(const std::string& text) {
    const auto colon = text.find(':');
    const auto from = whole(text.substr(0, colon), "keys"), to = colon == std::string::npos ? from : whole(text.substr(colon + 1), "keys");
    if (from < songs::key_min || to > songs::key_max || from > to) throw failed{"keys: a key lies between -6 and 6 semitones; write \"0\" or \"-6:6\"."};
    std::vector<int> out{0};  // the original is always there
    for (auto k = from; k <= to; ++k)
        if (k != 0) out.push_back(static_cast<int>(k));
    return out;
}
void print(const std::string& file, const std::vector<songs::deviation>& all) {
    for (const auto& d : all) std::cout << fmt::format("{}:{}: {}: {}\n", file, d.line, d.code, d.text);
}

std::shared_ptr<const songs::ultrastar_song> notes_of(std::string_view bytes, const std::string& encoding) {
    auto read = songs::read_ultrastar(bytes, {encoding, false});
    if (!read) throw failed{read.error().message};
    return std::make_shared<const songs::ultrastar_song>(std::move(*read));
}
std::shared_ptr<const songs::ultrastar_song> notes_of(const config& c, const std::string& song) {
    if (fs::is_regular_file(song)) return notes_of(file_bytes(song), "");
    tool t(c);
    const auto text = run(t.context, songs::export_song(t.db, song_id(whole(song, "song"))));
    return notes_of(text, "UTF-8");
}

struct kept_take {
    songs::pitch_track track;
    int voice = 1;
    std::int64_t offset_ms = 0, points = 0;
    songs::score_level level = songs::score_level::medium;
    int key = 0;  // semitones off the written notes
};
kept_take take_of(const config& c, const std::string& name, const std::string& rules) {
    const auto second = name.find(':', 5);
    if (second == std::string::npos) throw failed{"file: a stored take is take:PERFORMANCE:SINGER."};
    tool t(c);
    auto rows = run(t.context, [](tool& x, std::int64_t performance, std::int64_t singer, std::string by) -> awaitable<result<pg::rows>> {
        co_return co_await x.db.query(sql::kept_take, pg::with(performance, singer, by));
    }(t, whole(std::string_view(name).substr(5, second - 5), "performance"), whole(std::string_view(name).substr(second + 1), "singer"), rules));
    if (rows.empty()) throw failed{"There is no such take by these rules."};
    auto track = songs::pitch_track::from_bytes(pg::bytes_of(rows.text(0, 0)));
    if (!track) throw failed{"The stored track is damaged."};
    return {std::move(*track), static_cast<int>(rows.number(0, 1)), rows.number(0, 2), rows.number(0, 3), songs::level_named(rows.text(0, 4)).value(), static_cast<int>(rows.number(0, 5))};
}
}  // namespace

int import_songs(const config& c, const song_arguments& a) {
    if (!fs::exists(a.path)) throw failed{fmt::format("folder: {} does not exist.", a.path)};
    tool t(c);
    songs::import_options options{c.media_root, a.encoding, keys_of(a.keys)};
    int bad = 0;
    std::string first;
    const auto files = run(t.context, songs::import_songs(t.db, a.path, std::move(options), [&](const songs::imported& one) {
        print(one.file, one.deviations);
        if (one.outcome) std::cout << fmt::format("song {} from {}\n", one.outcome->value, one.file) << std::flush;
        else {
            if (++bad == 1) first = fmt::format("{}: {}", one.file, one.outcome.error().message);
            std::cout << fmt::format("refused {}: {}\n", one.file, one.outcome.error().message);
        }
    }));
    if (files == 0) throw failed{fmt::format("There is no .txt or .lrc file in {}.", a.path)};
    std::cout << fmt::format("{} imported, {} refused\n", files - bad, bad);
    if (bad > 0) std::cerr << fmt::format("{} of {} songs were refused; the first: {}\n", bad, files, first);
    return bad == 0 ? 0 : 1;
}

int lint_songs(const song_arguments& a) {
    if (!fs::exists(a.path)) throw failed{fmt::format("path: {} does not exist.", a.path)};
    std::vector<fs::path> files;
    if (fs::is_regular_file(a.path)) files.emplace_back(a.path);
    else
        for (const auto& entry : fs::recursive_directory_iterator(a.path))
            if (entry.path().extension() == ".txt" || entry.path().extension() == ".lrc") files.push_back(entry.path());
    std::ranges::sort(files);
    int bad = 0;
    std::size_t deviations = 0;
    for (const auto& file : files) {
        const auto read = songs::read_song(file_bytes(file), file.extension() == ".lrc" ? "lrc" : "ultrastar", a.encoding, file.stem().string());
        if (!read) {
            ++bad;
            std::cout << fmt::format("{}: cannot be read: {}\n", file.string(), read.error().message);
            continue;
        }
        deviations += read->deviations.size();
        print(file.string(), read->deviations);
    }
    if (files.empty()) throw failed{fmt::format("There is no .txt or .lrc file in {}.", a.path)};
    std::cout << fmt::format("{} files, {} deviations, {} cannot be read\n", files.size(), deviations, bad);
    return bad == 0 ? 0 : 1;
}

int export_song(const config& c, const song_arguments& a) {
    tool t(c);
    std::cout << run(t.context, songs::export_song(t.db, song_id(a.id)));
    return 0;
}

int score_song(const config& c, const song_arguments& a) {
    const auto rules = songs::rules_named(a.rules);
    const auto level = songs::level_named(a.level);
    if (!rules) throw failed{fmt::format("rules: there is no \"{}\"; ovation-1 or usdx-1.", a.rules)};
    if (!level) throw failed{fmt::format("level: there is no \"{}\"; easy, medium or hard.", a.level)};
    auto song = notes_of(c, a.song);
    songs::judge_options how{*rules, *level, 1, a.offset_ms};
    songs::pitch_track track;
    std::optional<std::int64_t> stored;
    if (a.path.starts_with("take:")) {
        auto kept = take_of(c, a.path, a.rules);
        track = std::move(kept.track);
        how.voice = kept.voice;
        how.offset_ms = kept.offset_ms;
        how.level = kept.level;
        song = songs::in_key(*song, kept.key);
        stored = kept.points;
    } else {
        const auto voice = songs::read_ogg_opus(file_bytes(a.path));
        if (!voice) throw failed{voice.error().message};
        songs::voice_reader reader;
        std::int64_t position = -voice->pre_skip;
        for (const auto& p : voice->packets) {
            reader.feed(position, {p});
            position += songs::packet_samples;
        }
        track = reader.track();
    }
    const auto total = songs::judge(*song, track, how);
    for (const auto& l : total.lines) std::cout << fmt::format("line {:>3}  {:7.1f} of {:7.1f}  rating {}\n", l.line + 1, l.points, l.most, l.rating);
    std::cout << fmt::format("{} {}: {} points (notes {}, golden {}, lines {}), {:.1f} s sung\n", a.rules, songs::name_of(how.level), total.points, total.normal, total.golden, total.line, static_cast<double>(track.voiced_ms()) / 1000);
    if (stored) {
        std::cout << (*stored == total.points ? "equal to the stored score\n" : fmt::format("NOT the stored score, which is {}\n", *stored));
        return *stored == total.points ? 0 : 1;
    }
    return 0;
}

}  // namespace ovation::server
