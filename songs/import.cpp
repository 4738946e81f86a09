#include "songs/import.hpp"

#include <google/protobuf/util/json_util.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "base/crypto.hpp"
#include "songs/encoding.hpp"
#include "songs/ogg_opus.hpp"
#include "songs/render.hpp"
#include "songs/sql.hpp"

namespace ovation::songs {
namespace {
namespace fs = std::filesystem;
constexpr int high_bits = 96'000, low_bits = 48'000, guide_bits = 64'000;
constexpr std::int64_t cover_bytes_max = 4'000'000;

result<std::string> read_file(const fs::path& p) {
    std::ifstream in(p, std::ios::binary);
    if (!in) return invalid(p.filename().string(), "cannot be read.");
    std::ostringstream bytes;
    bytes << in.rdbuf();
    return std::move(bytes).str();
}

// Whole or not at all: written beside and renamed.
result<void> write_whole(const fs::path& target, const std::string& bytes) {
    auto part = target;
    part += ".part";
    {
        std::ofstream out(part, std::ios::binary);
        out << bytes;
        if (!out.flush()) return unavailable("disk_full", "Nothing can be written to " + target.parent_path().string() + ". Make room, or give its owner the right to write.");
    }
    std::error_code failed;
    fs::rename(part, target, failed);
    if (failed) return unavailable("disk_full", "Nothing can be written to " + target.parent_path().string() + ".");
    return result<void>{};
}

std::string first_of(const std::string& list) { return list.substr(0, list.find(',')); }

// The backing of one key: what came with the song, else what the notes give.
struct source_sound {
    std::optional<pcm> given;
    const song_file* song = nullptr;
    [[nodiscard]] pcm in_key(int key) const {
        if (given) return shift_key(*given, key);
        return pcm{1, render(*song->notes, part::accompaniment, key)};
    }
};

result<fs::path> cover_of(const fs::path& beside, const song_file& song, const fs::path& media_root) {
    if (song.cover.empty()) return fs::path();
    const auto given = beside / song.cover;
    std::error_code failed;
    const auto kind = given.extension().string();
    if (!fs::is_regular_file(given, failed) || (kind != ".jpg" && kind != ".jpeg" && kind != ".png" && kind != ".webp")) return fs::path();
    if (static_cast<std::int64_t>(fs::file_size(given, failed)) > cover_bytes_max) return fs::path();
    OVATION_CHECK_VALUE(bytes, read_file(given));
    const fs::path name = song.hash + kind;
    OVATION_CHECK(write_whole(media_root / name, bytes));
    return name;
}

std::string deviations_json(const std::vector<deviation>& all) {
    boost::json::array out;
    for (const auto& d : all) out.push_back({{"line", d.line}, {"code", d.code}, {"text", d.text}});
    return boost::json::serialize(out);
}

awaitable<result<song_id>> import_one(pg::pool& db, fs::path file, import_options options, std::vector<deviation>& deviations) {
    OVATION_CO_TRY(auto bytes, read_file(file));
    const std::string format = file.extension() == ".lrc" ? "lrc" : "ultrastar";
    OVATION_CO_TRY(auto song, read_song(bytes, format, options.encoding, file.stem().string()));
    deviations = song.deviations;
    std::error_code failed;
    fs::create_directories(options.media_root, failed);

    source_sound sound{std::nullopt, &song};
    auto audio = song.backing.empty() ? fs::path() : file.parent_path() / song.backing;
    if (format == "lrc")
        for (const char* kind : {".mp3", ".ogg", ".opus", ".flac", ".wav", ".m4a"})
            if (auto beside = file; audio.empty() && fs::is_regular_file(beside.replace_extension(kind), failed)) audio = beside;
    if (!audio.empty() && fs::is_regular_file(audio, failed)) {
        OVATION_CO_TRY(sound.given, decode_audio(audio));
    } else if (!song.notes) {
        co_return invalid("audio", "these lyrics have no notes to make a backing from; put the audio beside them with the same name.");
    } else if (!song.backing.empty()) {
        deviations.push_back({0, "audio_missing", song.backing + " is not there; the backing is made from the notes."});
    }

    // The hash names files: what sounds different has another name.
    if (sound.given) {
        const auto& s = sound.given->samples;
        song.hash = crypto::to_hex(crypto::sha256(song.hash + std::string(reinterpret_cast<const char*>(s.data()), s.size() * sizeof(float)))).substr(0, 32);
    }
    OVATION_CO_TRY(const auto cover, cover_of(file.parent_path(), song, options.media_root));
    std::string guide;
    std::int64_t duration = 0;
    for (const auto& l : song.lines) duration = std::max(duration, l.end());
    if (song.notes) {
        guide = guide_file(song.hash, 0);
        for (const int key : options.keys) {
            const auto target = options.media_root / guide_file(song.hash, key);
            if (fs::exists(target)) continue;
            const pcm melody{1, render(*in_key(*song.notes, key), part::guide)};
            OVATION_CO_CHECK(write_whole(target, ogg_of(encode_packets(melody, guide_bits), 1, {{"TITLE", song.title}})));
        }
    }
    struct made {
        int id, channels;
        std::size_t packets;
    };
    std::vector<made> renditions;
    for (const int key : options.keys) {
        std::optional<pcm> samples;
        for (const bool low : {false, true}) {
            const auto id = rendition_id(key, low);
            const auto target = options.media_root / rendition_file(song.hash, id);
            if (auto old = read_file(target)) {
                if (const auto packets = read_ogg_opus(*old)) {
                    renditions.push_back({id, packets->channels, packets->packets.size()});
                    continue;
                }
            }
            if (!samples) samples = sound.in_key(key);
            const auto packets = encode_packets(*samples, low ? low_bits : high_bits);
            OVATION_CO_CHECK(write_whole(target, ogg_of(packets, samples->channels, {{"TITLE", song.title}, {"ARTIST", song.artist}, {"OVATION_SONG_HASH", song.hash}})));
            renditions.push_back({id, samples->channels, packets.size()});
        }
    }
    for (const auto& r : renditions) duration = std::max(duration, static_cast<std::int64_t>(r.packets) * packet_samples - opus_pre_skip);

    v1::Song lyrics;
    int voices = 1;
    for (auto& line : song.lines) {
        voices = std::max(voices, line.voice() == both_voices && song.scored ? 2 : line.voice());
        *lyrics.add_lines() = std::move(line);
    }
    std::string lyrics_json;
    if (!google::protobuf::util::MessageToJsonString(lyrics, &lyrics_json).ok()) co_return internal_fault("lyrics");
    pg::params p = pg::with(song.hash, song.title, song.artist, first_of(song.language), song.year, song.public_domain, duration);
    p.add_bytes(bytes).add(lyrics_json).add(rendition_file(song.hash, rendition_id(0, false))).add(first_of(song.genre)).add(song.edition).add(cover.string()).add(guide).add(song.format);
    p.add(song.encoding).add(song.guessed).add(deviations_json(deviations)).add(search_text(song.title, song.artist)).add(voices).add(song.scored).add(song.scene);
    std::vector<pg::request> all;
    OVATION_CO_TRY(auto r, co_await db.query(sql::import_song, std::move(p)));
    const song_id id(r.number(0, 0));
    for (const auto& m : renditions) all.push_back({&sql::add_rendition, pg::with(id, m.id, rendition_file(song.hash, m.id), m.channels, static_cast<std::int64_t>(m.packets))});
    OVATION_CO_CHECK(co_await db.run(std::move(all)));
    co_return id;
}
}  // namespace

result<song_file> read_song(std::string_view bytes, const std::string& format, const std::string& encoding, const std::string& fallback_title) {
    song_file out;
    out.format = format;
    if (format == "lrc") {
        OVATION_CHECK_VALUE(lrc, read_lrc(bytes, encoding));
        out.title = lrc.tag("ti").empty() ? fallback_title : lrc.tag("ti");
        out.artist = lrc.tag("ar").empty() ? "?" : lrc.tag("ar");
        out.edition = lrc.tag("al");
        out.lines = lrc.lyrics();
        out.deviations = std::move(lrc.deviations);
        out.scored = false;
        out.encoding = lrc.encoding;
        out.guessed = lrc.encoding_guessed;
        out.hash = crypto::to_hex(crypto::sha256(write_lrc(lrc))).substr(0, 32);
        if (out.lines.empty()) return invalid("file", "has no words.");
        return out;
    }
    OVATION_CHECK_VALUE(song, read_ultrastar(bytes, {encoding, false}));
    out.title = song.header("TITLE");
    out.artist = song.header("ARTIST");
    out.language = song.header("LANGUAGE");
    out.year = song.header("YEAR");
    out.genre = song.header("GENRE");
    out.edition = song.header("EDITION");
    out.cover = song.header("COVER");
    out.backing = song.backing_file();
    out.hash = song.content_hash();
    out.encoding = song.encoding;
    out.guessed = song.encoding_guessed;
    out.public_domain = song.public_domain();
    out.scene = song.scene();
    out.lines = song.lyrics();
    out.deviations = song.deviations;
    out.notes = std::move(song);
    return out;
}

awaitable<result<int>> import_songs(pg::pool& db, fs::path from, import_options options, std::function<void(const imported&)> told) {
    std::vector<fs::path> files;
    std::error_code failed;
    const auto fits = [](const fs::path& p) { return p.extension() == ".txt" || p.extension() == ".lrc"; };
    if (fs::is_regular_file(from, failed)) files.push_back(from);
    for (const auto& entry : fs::recursive_directory_iterator(from, failed))
        if (entry.is_regular_file(failed) && fits(entry.path())) files.push_back(entry.path());
    std::ranges::sort(files);
    for (const auto& file : files) {
        imported one{file.string(), song_id(), {}};
        one.outcome = co_await import_one(db, file, options, one.deviations);
        told(one);
    }
    co_return static_cast<int>(files.size());
}

awaitable<result<std::string>> export_song(pg::pool& db, song_id song) {
    OVATION_CO_TRY(auto r, co_await db.query(sql::song_source, pg::with(song)));
    if (r.empty()) co_return not_found("This song");
    std::string bytes = pg::bytes_of(r.text(0, 1));
    const auto encoding = r.string(0, 5);
    if (r.text(0, 4) == "lrc") {
        OVATION_CO_TRY(const auto lrc, read_lrc(bytes, encoding));
        co_return write_lrc(lrc);
    }
    OVATION_CO_TRY(const auto notes, read_ultrastar(bytes, {encoding, false}));
    co_return write_ultrastar(notes);
}

}  // namespace ovation::songs
