// Ogg Opus (RFC 7845): writing pages of one second, reading packets back.
#pragma once
#include <ogg/ogg.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fault.hpp"

namespace ovation::songs {

inline constexpr int opus_pre_skip = 312;      // samples: libopus' look-ahead
inline constexpr int packet_samples = 960;     // 20 ms
inline constexpr int access_point_every = 5;   // packets: each one decodes without what came before

class ogg_opus_writer {
public:
    using sink = std::function<void(std::string_view)>;
    ogg_opus_writer(sink to, int channels, int serial, const std::vector<std::pair<std::string, std::string>>& tags, int packets_per_page = 50);
    ~ogg_opus_writer();
    ogg_opus_writer(const ogg_opus_writer&) = delete;
    ogg_opus_writer& operator=(const ogg_opus_writer&) = delete;
    void add(std::string_view packet, bool last);

private:
    void pages(bool flush);
    sink to_;
    ogg_stream_state stream_{};
    std::int64_t granule_ = 0;
    std::int64_t packet_number_ = 0;
    int since_page_ = 0;
    int packets_per_page_;
};

struct opus_packets {
    int channels = 1;
    int pre_skip = opus_pre_skip;
    std::vector<std::string> packets;
};
// The audio packets of the first stream; a fault when it is not Ogg Opus.
result<opus_packets> read_ogg_opus(std::string_view file);

}  // namespace ovation::songs
