// SongService: the catalogue.
#pragma once
#include "base/cores.hpp"
#include "base/rpc.hpp"
#include "ovation/v1/song.pb.h"

namespace ovation::songs {

class service {
public:
    explicit service(cores& all) : cores_(all) {}
    void register_with(rpc_table& table);
    awaitable<result<v1::ListSongsResponse>> list(granted who, v1::ListSongsRequest request);
    awaitable<result<v1::Song>> mend(granted who, v1::MendEncodingRequest request);
    awaitable<result<v1::Song>> get(granted who, v1::GetSongRequest request);

private:
    cores& cores_;
};

}  // namespace ovation::songs
