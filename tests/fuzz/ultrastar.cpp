// A song that is taken keeps its limits, and written out it is read again as the same song.
#include "songs/ultrastar.hpp"

#include "base/text.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ovation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto in = fuzz::bytes(data, size);
    const auto song = songs::read_ultrastar(in);
    if (!song) return 0;
    PROPERTY(!song->header("TITLE").empty() && !song->header("ARTIST").empty() && !song->lines.empty());
    PROPERTY(song->bpm() >= 0.25 && song->bpm() <= 10'000 && song->gap_ms >= -60'000 && song->gap_ms <= 600'000);
    for (const auto& line : song->lines) {
        PROPERTY(line.voice >= 0 && line.voice <= 9 && !line.notes.empty());
        for (const auto& n : line.notes) {
            PROPERTY(n.start >= 0 && n.length >= 0 && song->sample_of(n.start) <= song->sample_of(n.start + n.length));
            PROPERTY(text::characters(n.text));
        }
    }
    PROPERTY(song->lyrics().size() == song->lines.size());
    const auto text = songs::write_ultrastar(*song);
    if (text.size() > 100'000) return 0;
    const auto again = songs::read_ultrastar(text);
    PROPERTY(again);
    PROPERTY(again->lines == song->lines && again->tempi == song->tempi && again->gap_ms == song->gap_ms && again->content_hash() == song->content_hash());
    PROPERTY(songs::write_ultrastar(*again) == text);
    return 0;
}
