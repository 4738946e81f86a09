#include "songs/recording.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace ovation::songs {
namespace {
constexpr int packets_a_page = 45;
constexpr std::int64_t gap_filled_max = 10LL * 48'000;
constexpr std::int64_t samples_max = 2LL * 3'600 * 48'000;
constexpr std::int64_t samples_a_byte = 7;  // at 56 kb/s
constexpr std::string_view tag_media_time = "OVATION_MEDIA_TIME", tag_position = "OVATION_POSITION";
constexpr std::size_t page_header = 27;

std::uint32_t get32(std::string_view s, std::size_t at) {
    std::uint32_t out = 0;
    for (std::size_t i = 4; i-- > 0;) out = out << 8 | static_cast<unsigned char>(s[at + i]);
    return out;
}
// One comment of an OpusTags packet; 0 where there is none.
std::int64_t number_of_tag(std::string_view packet, std::string_view name) {
    if (packet.size() < 16) return 0;
    std::size_t at = 12 + get32(packet, 8);
    if (at + 4 > packet.size()) return 0;
    const auto count = get32(packet, at);
    at += 4;
    for (std::uint32_t i = 0; i < count && at + 4 <= packet.size(); ++i) {
        const std::size_t size = get32(packet, at);
        at += 4;
        if (size > packet.size() - at) return 0;
        const auto one = packet.substr(at, size);
        at += size;
        if (!one.starts_with(name) || one.size() <= name.size() || one[name.size()] != '=') continue;
        std::int64_t out = 0;
        std::from_chars(one.data() + name.size() + 1, one.data() + one.size(), out);
        return out;
    }
    return 0;
}
}  // namespace

recording_writer::recording_writer(std::filesystem::path file, std::vector<std::pair<std::string, std::string>> tags) : tags_(std::move(tags)) {
    std::error_code ignored;
    std::filesystem::create_directories(file.parent_path(), ignored);
    descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    // Streams of one file have numbers of their own.
    if (descriptor_ >= 0) written_ = samples_a_byte * static_cast<std::int64_t>(std::max<off_t>(0, ::lseek(descriptor_, 0, SEEK_END)));
    if (descriptor_ >= 0) serial_ = static_cast<int>(std::max<off_t>(0, ::lseek(descriptor_, 0, SEEK_END)) & 0x3fffffff) + 1;
}
recording_writer::~recording_writer() { close(); }

void recording_writer::begin(std::int64_t media_time, std::int64_t position) {
    auto tags = tags_;
    tags.emplace_back(tag_media_time, std::to_string(media_time));
    tags.emplace_back(tag_position, std::to_string(position));
    stream_ = std::make_unique<ogg_opus_writer>([this](std::string_view bytes) { pending_ += bytes; }, 1, serial_++, tags, packets_a_page);
    expected_ = media_time;
    offset_ = media_time - position;
}
void recording_writer::end_stretch() {
    if (stream_ && !last_.empty()) stream_->add(last_, true);
    last_.clear();
    stream_.reset();
}

bool recording_writer::add(std::int64_t media_time, std::int64_t position, const std::vector<std::string>& packets) {
    if (descriptor_ < 0 || written_ > samples_max) return false;
    const auto gap = media_time - expected_;
    if (!stream_ || std::llabs(media_time - position - offset_) > packet_samples || gap < -packet_samples || gap > gap_filled_max) {
        end_stretch();
        begin(media_time, position);
    } else if (!last_.empty()) {
        // A packet without a frame is concealed: its table of contents is that of the one before, with one frame.
        const std::string nothing(1, static_cast<char>(last_[0] & 0xfc));
        for (auto missing = (gap + packet_samples / 2) / packet_samples; missing > 0; --missing) {
            stream_->add(last_, false);
            last_ = nothing;
            expected_ += packet_samples;
            written_ += packet_samples;
        }
    }
    for (const auto& p : packets) {
        if (!last_.empty()) stream_->add(last_, false);
        last_ = p;
        expected_ += packet_samples;
        samples_ += packet_samples;
        written_ += packet_samples;
    }
    return pending_.empty() || write();
}

bool recording_writer::write() {
    std::string_view left = pending_;
    while (!left.empty()) {
        const auto taken = ::write(descriptor_, left.data(), left.size());
        if (taken <= 0) return false;
        left.remove_prefix(static_cast<std::size_t>(taken));
    }
    pending_.clear();
    return ::fdatasync(descriptor_) == 0;
}

bool recording_writer::close() {
    if (descriptor_ < 0) return true;
    end_stretch();
    const bool good = write();
    ::close(descriptor_);
    descriptor_ = -1;
    return good;
}

std::vector<recorded_stretch> read_recording(std::string_view file) {
    std::vector<recorded_stretch> out;
    ogg_sync_state sync;
    ogg_sync_init(&sync);
    if (char* to = file.empty() ? nullptr : ogg_sync_buffer(&sync, static_cast<long>(file.size()))) {
        std::memcpy(to, file.data(), file.size());
        ogg_sync_wrote(&sync, static_cast<long>(file.size()));
    }
    ogg_stream_state stream{};
    bool open = false;
    int seen = 0;
    ogg_page page{};
    for (int found = ogg_sync_pageout(&sync, &page); found != 0; found = ogg_sync_pageout(&sync, &page)) {
        if (found < 0) continue;
        if (ogg_page_bos(&page) != 0) {
            if (open) ogg_stream_clear(&stream);
            ogg_stream_init(&stream, ogg_page_serialno(&page));
            open = true;
            seen = 0;
        }
        if (!open || ogg_stream_pagein(&stream, &page) != 0) continue;
        ogg_packet p{};
        while (ogg_stream_packetout(&stream, &p) == 1) {
            const std::string_view bytes(reinterpret_cast<char*>(p.packet), static_cast<std::size_t>(p.bytes));
            if (seen == 1) out.push_back({number_of_tag(bytes, tag_media_time), number_of_tag(bytes, tag_position), {}});
            else if (seen > 1) out.back().packets.emplace_back(bytes);
            ++seen;
        }
    }
    if (open) ogg_stream_clear(&stream);
    ogg_sync_clear(&sync);
    std::erase_if(out, [](const recorded_stretch& s) { return s.packets.empty(); });
    return out;
}

seek_point find_page(std::string_view file, std::int64_t sample) {
    const auto granule = [&](std::size_t at) { return static_cast<std::int64_t>(static_cast<std::uint64_t>(get32(file, at + 10)) << 32 | get32(file, at + 6)); };
    const auto next_page = [&](std::size_t from) {
        const auto at = file.find("OggS", from);
        return at == std::string_view::npos || at + page_header > file.size() ? file.size() : at;
    };
    if (file.size() < page_header) return {};
    // Invariant: the page at `low` ends before or at the sample, or is the first.
    std::size_t low = 0, high = file.size();
    while (high - low > 8'192) {
        const auto middle = next_page(low + (high - low) / 2);
        if (middle >= high) high = low + (high - low) / 2;
        else if (granule(middle) <= sample) low = middle;
        else high = middle;
    }
    seek_point out{low, 0};
    for (auto at = low; at < file.size(); at = next_page(at + page_header)) {
        if (granule(at) > sample) return {at, out.sample};
        out = {at, std::max<std::int64_t>(0, granule(at))};
    }
    return out;
}

}  // namespace ovation::songs
