#include "songs/service.hpp"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "songs/ogg_opus.hpp"
#include "songs/render.hpp"
#include "songs/sql.hpp"
#include "songs/ultrastar.hpp"

namespace ovation::songs {
namespace {
namespace fs = std::filesystem;

result<std::string> read_file(const fs::path& p) {
    std::ifstream in(p, std::ios::binary);
    if (!in) return invalid(p.filename().string(), "cannot be read.");
    std::ostringstream bytes;
    bytes << in.rdbuf();
    return std::move(bytes).str();
}

v1::Song song_of(const pg::rows& r, int i) {
    v1::Song out;
    out.set_id(r.number(i, 0));
    out.set_title(r.string(i, 1));
    out.set_artist(r.string(i, 2));
    out.set_language(r.string(i, 3));
    out.set_year(r.string(i, 4));
    out.set_duration_samples(r.number(i, 5));
    out.set_public_domain(r.boolean(i, 6));
    out.set_content_hash(r.string(i, 7));
    if (!r.text(i, 8).empty()) out.set_backing_url("/media/" + r.string(i, 8));
    return out;
}

awaitable<result<song_id>> import_one(pg::pool& db, fs::path file, fs::path media_root) {
    OVATION_CO_TRY(auto bytes, read_file(file));
    OVATION_CO_TRY(const auto song, read_ultrastar(bytes));
    v1::Song lyrics;
    for (auto& line : song.lyrics()) *lyrics.add_lines() = std::move(line);
    std::string lyrics_json;
    if (!google::protobuf::util::MessageToJsonString(lyrics, &lyrics_json).ok()) co_return internal_fault("lyrics");

    const auto hash = song.content_hash();
    const std::string backing = hash + ".opus";
    std::int64_t duration = lyrics.lines().rbegin()->end();
    std::error_code failed;
    fs::create_directories(media_root, failed);
    const auto given = file.parent_path() / song.header("AUDIO");
    std::string audio;
    if (!song.header("AUDIO").empty() && fs::is_regular_file(given, failed)) {
        OVATION_CO_TRY(audio, read_file(given));
        OVATION_CO_TRY(const auto packets, read_ogg_opus(audio));
        duration = std::max<std::int64_t>(duration, static_cast<std::int64_t>(packets.packets.size()) * packet_samples - packets.pre_skip);
    } else {
        const auto samples = render_backing(song);
        duration = static_cast<std::int64_t>(samples.size());
        audio = encode_backing(samples, song);
    }
    // Whole or not at all: written beside and renamed.
    const auto target = media_root / backing;
    const auto part = media_root / (backing + ".part");
    {
        std::ofstream out(part, std::ios::binary);
        out << audio;
        if (!out.flush()) co_return unavailable("disk_full", "The backing track could not be written to " + media_root.string() + ".");
    }
    fs::rename(part, target, failed);
    if (failed) co_return unavailable("disk_full", "The backing track could not be written to " + media_root.string() + ".");

    pg::params p = pg::with(hash, song.header("TITLE"), song.header("ARTIST"), song.header("LANGUAGE"), song.header("YEAR"), song.public_domain(), duration);
    p.add_bytes(bytes).add(lyrics_json).add(backing);
    OVATION_CO_TRY(auto r, co_await db.query(sql::import_song, std::move(p)));
    co_return song_id(r.number(0, 0));
}
}  // namespace

awaitable<std::vector<imported>> import_folder(pg::pool& db, fs::path from, fs::path media_root) {
    std::vector<imported> out;
    std::vector<fs::path> files;
    std::error_code failed;
    for (const auto& entry : fs::recursive_directory_iterator(from, failed))
        if (entry.path().extension() == ".txt") files.push_back(entry.path());
    std::ranges::sort(files);
    for (const auto& file : files) out.push_back({file.string(), co_await import_one(db, file, media_root)});
    co_return out;
}

void service::register_with(rpc_table& table) {
    bind_rpc(table, "/ovation.v1.SongService/ListSongs", *this, &service::list);
    bind_rpc(table, "/ovation.v1.SongService/GetSong", *this, &service::get);
}

awaitable<result<v1::ListSongsResponse>> service::list(granted, v1::ListSongsRequest request) {
    const auto size = request.page_size() == 0 ? 50 : request.page_size();
    if (size < 1 || size > 200) co_return invalid("page_size", "a page has 1 to 200 songs.");
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::list_songs, pg::with(request.search(), request.after_id(), size)));
    v1::ListSongsResponse out;
    for (int i = 0; i < r.size(); ++i) *out.add_songs() = song_of(r, i);
    if (r.size() == size) out.set_next_after_id(r.number(r.size() - 1, 0));
    co_return out;
}

awaitable<result<v1::Song>> service::get(granted, v1::GetSongRequest request) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::get_song, pg::with(request.song_id())));
    if (r.empty()) co_return not_found("This song");
    auto out = song_of(r, 0);
    v1::Song lyrics;
    const auto json = r.text(0, 9);
    if (!google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &lyrics).ok()) co_return internal_fault("stored lyrics");
    out.mutable_lines()->Swap(lyrics.mutable_lines());
    co_return out;
}

}  // namespace ovation::songs
