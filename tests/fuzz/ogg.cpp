// The reader of Ogg Opus: packets that were read, written by our writer, are read again as the same packets.
#include "songs/ogg_opus.hpp"
#include "songs/recording.hpp"

#include <algorithm>

#include "tests/fuzz/fuzz.hpp"

using namespace ovation;

namespace {
// Pages whose checksum is wrong are thrown away by libogg; most inputs get right ones, else nothing behind it would be tried.
void mend_checksums(std::string& file) {
    for (auto at = file.find("OggS"); at != std::string::npos; at = file.find("OggS", at + 4)) {
        auto* header = reinterpret_cast<unsigned char*>(file.data()) + at;
        const auto rest = file.size() - at;
        if (rest < 27 || rest < 27u + header[26]) return;
        const long head = 27 + header[26];
        long body = 0;
        for (long i = 27; i < head; ++i) body += header[i];
        if (rest < static_cast<std::size_t>(head + body)) return;
        ogg_page page{header, head, header + head, body};
        ogg_page_checksum_set(&page);
    }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string file(fuzz::bytes(data, size));
    (void)songs::read_ogg_opus(file);
    mend_checksums(file);
    for (const auto& stretch : songs::read_recording(file)) PROPERTY(!stretch.packets.empty());
    for (std::int64_t sample : {std::int64_t{0}, std::int64_t{48'000}, INT64_MAX}) PROPERTY(songs::find_page(file, sample).byte <= file.size());
    const auto read = songs::read_ogg_opus(file);
    if (!read) return 0;
    PROPERTY(read->channels >= 0 && read->channels <= 255 && read->pre_skip >= 0 && read->pre_skip <= 65'535);
    std::size_t total = 0;
    for (const auto& p : read->packets) total += p.size();
    PROPERTY(total <= file.size());

    std::string written;
    {
        songs::ogg_opus_writer to([&](std::string_view part) { written += part; }, read->channels, 7, {{"TITLE", file.substr(0, 40)}});
        for (std::size_t i = 0; i < read->packets.size(); ++i) to.add(read->packets[i], i + 1 == read->packets.size());
    }
    const auto again = songs::read_ogg_opus(written);
    PROPERTY(again && again->channels == read->channels && again->pre_skip == songs::opus_pre_skip);
    PROPERTY(again->packets == read->packets);
    return 0;
}
