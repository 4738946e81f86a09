// A song that is taken keeps its limits, and written out plainly it is read again as the same song.
#include "songs/ultrastar.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ovation;

namespace {
std::string write(const songs::ultrastar_song& s) {
    std::string out;
    for (const auto& [key, value] : s.headers) out += '#' + key + ':' + value + '\n';
    for (const auto& line : s.lines) {
        out += 'P' + std::to_string(line.voice) + '\n';
        for (const auto& n : line.notes) {
            out += n.kind;
            for (const auto number : {n.start, n.length, std::int64_t{n.pitch}}) out += ' ' + std::to_string(number);
            out += ' ' + n.text + '\n';
        }
        out += "-\n";
    }
    return out + "E\n";
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto in = fuzz::bytes(data, size);
    const auto song = songs::read_ultrastar(in);
    if (!song) return 0;
    PROPERTY(!song->header("TITLE").empty() && !song->header("ARTIST").empty() && !song->lines.empty());
    PROPERTY(song->bpm >= 1 && song->bpm <= 3'000 && song->gap_ms >= -60'000 && song->gap_ms <= 600'000);
    for (const auto& line : song->lines) {
        PROPERTY(line.voice >= 1 && line.voice <= 9 && !line.notes.empty());
        std::int64_t free_from = 0;
        for (const auto& n : line.notes) {
            PROPERTY(n.start >= free_from && n.length >= 1 && song->sample_of(n.start) < song->sample_of(n.start + n.length));
            free_from = n.start + n.length;
            PROPERTY(text::characters(n.text));
            // No letter is lost: a blank stands before the syllable.
            PROPERTY(n.text.empty() || in.find(' ' + n.text) != std::string_view::npos || in.find('\t' + n.text) != std::string_view::npos);
        }
    }
    PROPERTY(song->lyrics().size() == song->lines.size());
    const auto again = songs::read_ultrastar(write(*song));
    PROPERTY(again);
    PROPERTY(again->headers == song->headers && again->bpm == song->bpm && again->gap_ms == song->gap_ms && again->content_hash() == song->content_hash());
    PROPERTY(std::ranges::equal(again->lines, song->lines, [](const auto& a, const auto& b) {
        return a.voice == b.voice && std::ranges::equal(a.notes, b.notes, [](const auto& x, const auto& y) { return x.kind == y.kind && x.start == y.start && x.length == y.length && x.pitch == y.pitch && x.text == y.text; });
    }));
    return 0;
}
