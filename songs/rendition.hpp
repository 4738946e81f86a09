// The backing of a song as the rooms send it: 20 ms Opus packets, CELT, pre-skip 312, an access point every five packets
// (design.md section 4). Positions are those of the original in every rendition: packet i begins at 960·i − 312.
#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fault.hpp"
#include "base/worker_pool.hpp"

namespace ovation::songs {

inline constexpr int key_min = -6, key_max = 6;  // semitones
// The id on the wire, 1 … 26: which key, and 96 or 48 kb/s.
constexpr int rendition_id(int key, bool low) { return 2 * (key - key_min) + 1 + (low ? 1 : 0); }
constexpr int key_of_rendition(int id) { return (id - 1) / 2 + key_min; }
constexpr bool low_rendition(int id) { return id % 2 == 0; }
static_assert(rendition_id(0, false) == 13 && key_of_rendition(26) == key_max && low_rendition(26));

// The name under the media folder.
std::string rendition_file(const std::string& content_hash, int id);
std::string guide_file(const std::string& content_hash, int key);

struct pcm {
    int channels = 1;
    std::vector<float> samples;  // 48 kHz, interleaved
    [[nodiscard]] std::int64_t frames() const { return static_cast<std::int64_t>(samples.size()) / channels; }
};
// Any common format, by ffmpeg; blocks. At most 15 minutes are taken.
result<pcm> decode_audio(const std::filesystem::path& file);
// The same length, `semitones` higher (SoundTouch).
pcm shift_key(const pcm& of, int semitones);
// Packets as described above; bits per second.
std::vector<std::string> encode_packets(const pcm& of, int bits_per_second);
std::string ogg_of(const std::vector<std::string>& packets, int channels, const std::vector<std::pair<std::string, std::string>>& tags);

struct rendition {
    int id = 0;
    int channels = 1;
    std::vector<std::string> packets;
};
struct backing {
    std::shared_ptr<const rendition> high, low;  // 96 and 48 kb/s of one key
};

// Renditions in memory while somebody sings to them, shared by all rooms. Any thread.
class shelf {
public:
    shelf(std::filesystem::path media_root, worker_pool& workers) : root_(std::move(media_root)), workers_(workers) {}
    // not_found: this key has not been made.
    awaitable<result<backing>> take(std::string content_hash, int key);

private:
    std::shared_ptr<const rendition> known(const std::string& name);
    awaitable<result<std::shared_ptr<const rendition>>> load(std::string content_hash, int id);
    std::filesystem::path root_;
    worker_pool& workers_;
    std::mutex mutex_;
    std::unordered_map<std::string, std::weak_ptr<const rendition>> loaded_;
};

}  // namespace ovation::songs
