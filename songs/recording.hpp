// What a singer sent, kept as it came: Ogg Opus, never encoded again. Each stretch in which media time and song position run
// together is one stream of the chain; its tags say where it begins. Missing packets leave packets that a decoder conceals, so
// that the position stays true. Pages of 0.9 s are on the disk as soon as they are full: a crash loses less than a second.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "songs/ogg_opus.hpp"

namespace ovation::songs {

class recording_writer {
public:
    // Goes on behind what the file has.
    explicit recording_writer(std::filesystem::path file, std::vector<std::pair<std::string, std::string>> tags);
    ~recording_writer();
    recording_writer(const recording_writer&) = delete;
    recording_writer& operator=(const recording_writer&) = delete;

    // At most two hours, filler included.
    // Packets of 20 ms; media time (the room's) and song position of the first sample, 48 kHz. False: the disk takes no more.
    bool add(std::int64_t media_time, std::int64_t position, const std::vector<std::string>& packets);
    bool close();
    [[nodiscard]] std::int64_t samples() const { return samples_; }

private:
    void begin(std::int64_t media_time, std::int64_t position);
    void end_stretch();
    bool write();
    std::vector<std::pair<std::string, std::string>> tags_;
    std::string pending_;  // whole pages on their way to the disk
    std::unique_ptr<ogg_opus_writer> stream_;
    std::string last_;     // held back: the last packet of a stream says so
    int descriptor_ = -1;
    int serial_ = 1;
    std::int64_t expected_ = 0, offset_ = 0, samples_ = 0;
    std::int64_t written_ = 0;  // samples, filler included, of this writer; bytes of the file before it stand for theirs
};

struct recorded_stretch {
    std::int64_t media_time = 0, position = 0;  // of the first decoded sample
    std::vector<std::string> packets;
    [[nodiscard]] std::int64_t length() const { return static_cast<std::int64_t>(packets.size()) * packet_samples; }
    [[nodiscard]] std::int64_t end() const { return media_time + length(); }
    [[nodiscard]] std::int64_t offset() const { return media_time - position; }
};
// All whole pages; what a crash cut short in between is passed over.
std::vector<recorded_stretch> read_recording(std::string_view file);

struct seek_point {
    std::size_t byte = 0;      // where the page begins
    std::int64_t sample = 0;   // of the stream, at the page's begin
};
// The page that holds this sample of an Ogg Opus file's first stream: by bisection over the bytes, no index needed.
seek_point find_page(std::string_view file, std::int64_t sample);

}  // namespace ovation::songs
