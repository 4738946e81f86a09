// Lyrics that are taken are in order, and written out they are read again as the same lyrics.
#include "songs/lrc.hpp"

#include <algorithm>

#include "tests/fuzz/fuzz.hpp"

using namespace ovation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto song = songs::read_lrc(fuzz::bytes(data, size));
    if (!song) return 0;
    PROPERTY(!song->lines.empty() && std::ranges::is_sorted(song->lines, {}, &songs::lrc_line::start_ms));
    for (const auto& l : song->lyrics()) {
        PROPERTY(l.syllables_size() > 0 && l.start() <= l.end());
        for (const auto& s : l.syllables()) PROPERTY(s.length() >= 0);
    }
    const auto text = songs::write_lrc(*song);
    if (text.size() > 200'000) return 0;
    const auto again = songs::read_lrc(text);
    PROPERTY(again);
    PROPERTY(again->lyrics().size() == song->lyrics().size());
    PROPERTY(songs::write_lrc(*again) == text);
    return 0;
}
