// SongService and the import of songs.
#pragma once
#include <filesystem>
#include <functional>

#include "base/cores.hpp"
#include "base/rpc.hpp"
#include "ovation/v1/song.pb.h"

namespace ovation::songs {

struct imported {
    std::string file;
    result<song_id> outcome;
};
// Every .txt below `from`; backing tracks go to `media_root`. A backing file named by #AUDIO that is Ogg Opus is taken, else one is rendered.
awaitable<std::vector<imported>> import_folder(pg::pool& db, std::filesystem::path from, std::filesystem::path media_root);

class service {
public:
    explicit service(cores& all) : cores_(all) {}
    void register_with(rpc_table& table);
    awaitable<result<v1::ListSongsResponse>> list(granted who, v1::ListSongsRequest request);
    awaitable<result<v1::Song>> get(granted who, v1::GetSongRequest request);

private:
    cores& cores_;
};

}  // namespace ovation::songs
