#include "songs/ogg_opus.hpp"

#include <cstring>

namespace ovation::songs {
namespace {
void put32(std::string& to, std::uint32_t v) {
    for (int i = 0; i < 4; ++i) to += static_cast<char>(v >> (8 * i) & 0xff);
}
void put16(std::string& to, int v) {
    to += static_cast<char>(v & 0xff);
    to += static_cast<char>(v >> 8 & 0xff);
}
}  // namespace

ogg_opus_writer::ogg_opus_writer(sink to, int channels, int serial, const std::vector<std::pair<std::string, std::string>>& tags, int packets_per_page) : to_(std::move(to)), packets_per_page_(packets_per_page) {
    ogg_stream_init(&stream_, serial);
    std::string head = "OpusHead";
    head += static_cast<char>(1);
    head += static_cast<char>(channels);
    put16(head, opus_pre_skip);
    put32(head, 48'000);
    put16(head, 0);
    head += '\0';
    std::string comment = "OpusTags";
    const std::string vendor = "ovation";
    put32(comment, static_cast<std::uint32_t>(vendor.size()));
    comment += vendor;
    put32(comment, static_cast<std::uint32_t>(tags.size()));
    for (const auto& [key, value] : tags) {
        put32(comment, static_cast<std::uint32_t>(key.size() + 1 + value.size()));
        comment += key + "=" + value;
    }
    for (auto* bytes : {&head, &comment}) {
        ogg_packet p{};
        p.packet = reinterpret_cast<unsigned char*>(bytes->data());
        p.bytes = static_cast<long>(bytes->size());
        p.b_o_s = packet_number_ == 0;
        p.packetno = packet_number_++;
        ogg_stream_packetin(&stream_, &p);
        pages(true);  // each on a page of its own
    }
}
ogg_opus_writer::~ogg_opus_writer() { ogg_stream_clear(&stream_); }

void ogg_opus_writer::add(std::string_view packet, bool last) {
    granule_ += packet_samples;
    ogg_packet p{};
    p.packet = reinterpret_cast<unsigned char*>(const_cast<char*>(packet.data()));
    p.bytes = static_cast<long>(packet.size());
    p.e_o_s = last;
    p.granulepos = granule_;
    p.packetno = packet_number_++;
    ogg_stream_packetin(&stream_, &p);
    if (++since_page_ == packets_per_page_ || last) {
        pages(true);
        since_page_ = 0;
    }
}

void ogg_opus_writer::pages(bool flush) {
    ogg_page page{};
    while ((flush ? ogg_stream_flush(&stream_, &page) : ogg_stream_pageout(&stream_, &page)) != 0) {
        to_({reinterpret_cast<const char*>(page.header), static_cast<std::size_t>(page.header_len)});
        to_({reinterpret_cast<const char*>(page.body), static_cast<std::size_t>(page.body_len)});
    }
}

result<opus_packets> read_ogg_opus(std::string_view file) {
    if (file.empty()) return invalid("file", "is empty.");
    ogg_sync_state sync;
    ogg_sync_init(&sync);
    char* to = ogg_sync_buffer(&sync, static_cast<long>(file.size()));
    std::memcpy(to, file.data(), file.size());
    ogg_sync_wrote(&sync, static_cast<long>(file.size()));
    ogg_stream_state stream{};
    bool open = false;
    opus_packets out;
    std::int64_t seen = 0;
    bool good = true;
    ogg_page page{};
    for (int found = ogg_sync_pageout(&sync, &page); good && found != 0; found = ogg_sync_pageout(&sync, &page)) {
        good = found > 0;  // what is between two whole pages is damage; a cut last page is none
        if (!good) break;
        if (!open) {
            ogg_stream_init(&stream, ogg_page_serialno(&page));
            open = true;
        }
        if (ogg_page_serialno(&page) != stream.serialno) continue;
        ogg_stream_pagein(&stream, &page);
        ogg_packet p{};
        while (ogg_stream_packetout(&stream, &p) == 1) {
            std::string bytes(reinterpret_cast<char*>(p.packet), static_cast<std::size_t>(p.bytes));
            if (seen == 0) {
                good = bytes.size() >= 19 && bytes.starts_with("OpusHead");
                if (!good) break;
                out.channels = static_cast<unsigned char>(bytes[9]);
                out.pre_skip = static_cast<unsigned char>(bytes[10]) | static_cast<unsigned char>(bytes[11]) << 8;
            } else if (seen >= 2) {
                out.packets.push_back(std::move(bytes));
            }
            ++seen;
        }
    }
    if (open) ogg_stream_clear(&stream);
    ogg_sync_clear(&sync);
    if (!good || seen < 2) return invalid("file", "is not an Ogg Opus file.");
    return out;
}

}  // namespace ovation::songs
