#include "songs/service.hpp"

#include <google/protobuf/util/json_util.h>
#include <spdlog/fmt/fmt.h>

#include "base/limits.hpp"
#include "songs/encoding.hpp"
#include "songs/import.hpp"
#include "songs/sql.hpp"

namespace ovation::songs {
namespace {
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
    out.set_genre(r.string(i, 9));
    out.set_edition(r.string(i, 10));
    if (!r.text(i, 11).empty()) out.set_cover_url("/media/" + r.string(i, 11));
    if (!r.text(i, 12).empty()) out.set_guide_url("/media/" + r.string(i, 12));
    out.set_voices(static_cast<int>(r.number(i, 13)));
    out.set_scored(r.boolean(i, 14));
    out.set_encoding_guessed(r.boolean(i, 15));
    out.set_plays(r.number(i, 16));
    out.set_scene(r.string(i, 17));
    return out;
}
constexpr int lyrics_column = 18;

}  // namespace

void service::register_with(rpc_table& table) {
    bind_rpc(table, "/ovation.v1.SongService/ListSongs", *this, &service::list);
    bind_rpc(table, "/ovation.v1.SongService/MendEncoding", *this, &service::mend);
    bind_rpc(table, "/ovation.v1.SongService/GetSong", *this, &service::get);
}

awaitable<result<v1::ListSongsResponse>> service::list(granted, v1::ListSongsRequest request) {
    const auto size = request.page_size() == 0 ? 50 : request.page_size();
    if (size < 1 || size > 200) co_return invalid("page_size", "a page has 1 to 200 songs.");
    if (request.search().size() > limits::search_bytes_max) co_return invalid("search", fmt::format("at most {} bytes.", limits::search_bytes_max));
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::list_songs, pg::with(search_form(request.search()), request.after_id(), size, request.popular(), request.language(), request.genre())));
    v1::ListSongsResponse out;
    for (int i = 0; i < r.size(); ++i) *out.add_songs() = song_of(r, i);
    if (r.size() == size) out.set_next_after_id(request.popular() ? request.after_id() + size : r.number(r.size() - 1, 0));
    co_return out;
}

awaitable<result<v1::Song>> service::get(granted, v1::GetSongRequest request) {
    std::vector<pg::request> both;
    both.push_back({&sql::get_song, pg::with(request.song_id())});
    both.push_back({&sql::renditions_of, pg::with(request.song_id())});
    OVATION_CO_TRY(auto found, co_await cores_.db().run(std::move(both)));
    const auto& r = found[0];
    if (r.empty()) co_return not_found("This song");
    auto out = song_of(r, 0);
    v1::Song lyrics;
    const auto json = r.text(0, lyrics_column);
    if (!google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &lyrics).ok()) co_return internal_fault("stored lyrics");
    out.mutable_lines()->Swap(lyrics.mutable_lines());
    for (int i = 0; i < found[1].size(); ++i) {
        const auto id = static_cast<int>(found[1].number(i, 0));
        auto& one = *out.add_renditions();
        one.set_id(id);
        one.set_key(key_of_rendition(id));
        one.set_kbps(low_rendition(id) ? 48 : 96);
        one.set_url("/media/" + found[1].string(i, 1));
        if (!out.guide_url().empty() && !low_rendition(id)) one.set_guide_url("/media/" + guide_file(r.string(0, 7), one.key()));
    }
    co_return out;
}

awaitable<result<v1::Song>> service::mend(granted who, v1::MendEncodingRequest request) {
    OVATION_CO_TRY(auto r, co_await cores_.db().query(sql::song_source, pg::with(request.song_id())));
    if (r.empty()) co_return not_found("This song");
    OVATION_CO_TRY(auto song, read_song(pg::bytes_of(r.text(0, 1)), r.string(0, 4), request.encoding(), r.string(0, 2)));
    v1::Song lyrics;
    for (auto& line : song.lines) *lyrics.add_lines() = std::move(line);
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(lyrics, &json).ok()) co_return internal_fault("lyrics");
    OVATION_CO_CHECK(co_await cores_.db().query(sql::mend_song, pg::with(request.song_id(), song.title, song.artist, json, song.encoding, search_text(song.title, song.artist), who.user(), request.reason())));
    v1::GetSongRequest again;
    again.set_song_id(request.song_id());
    co_return co_await get(std::move(who), std::move(again));
}

}  // namespace ovation::songs
