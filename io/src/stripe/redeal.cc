#include "stripe/redeal.h"

namespace libp::stripe {

std::vector<std::pair<std::size_t, std::size_t>> redeal(const std::vector<dealt_path>& paths) {
    std::vector<std::pair<std::size_t, std::size_t>> moves;
    std::vector<std::size_t> takers;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        const dealt_path& p = paths[i];
        if (!p.fixed && p.up > 0 && p.window == p.up) takers.push_back(i);
    }
    std::size_t turn = 0;
    for (std::size_t i = 0; i < paths.size() && !takers.empty(); ++i) {
        const dealt_path& p = paths[i];
        // One has to stay; and not even one of them may say that it is not the path that is full.
        if (p.fixed || p.keeps || p.up < 2 || p.path == 0 || p.window > 0) continue;
        const std::size_t to = takers[turn++ % takers.size()];
        if (paths[to].rank == p.rank) moves.emplace_back(i, to);
    }
    return moves;
}

}  // namespace libp::stripe
