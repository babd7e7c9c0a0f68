#include "request/series/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>

#include "base/error.h"
#include "prompt/infotext.h"
#include "request/fault_list.h"
#include "request/seeds.h"

namespace lowrank::request {
namespace {

void check_count(std::size_t count, std::size_t most) {
  if (count > most)
    throw Error(kBadInput, "that would be {} or more pictures; a series has at most {}.", count, most);
}

// A random seed becomes one that all requests share.
void fix_seeds(GenerationRequest& request) {
  const auto seeds = picture_seeds(request);
  request.seed = static_cast<std::int64_t>(seeds.front().seed);
  request.subseed = static_cast<std::int64_t>(seeds.front().subseed);
}

void fix_seeds(Axis& axis) {
  if (!axis.is_seed()) return;
  for (std::string& value : axis.values)
    if (value == "-1") value = fmt::format("{}", picture_seeds(GenerationRequest{}).front().seed);
}

std::vector<std::vector<image::GridLabel>> captions(const Axis& axis) {
  std::vector<std::vector<image::GridLabel>> labels;
  for (std::size_t i = 0; i < axis.values.size(); ++i) labels.push_back({{axis_caption(axis, i)}});
  return labels;
}

void note_axis(std::vector<std::pair<std::string, std::string>>& entries, char letter, const Axis& axis,
               bool has_fixed_seeds) {
  if (axis.kind == Axis::Kind::kNothing) return;
  entries.emplace_back(fmt::format("{} Type", letter), axis.label);
  entries.emplace_back(fmt::format("{} Values", letter), axis.text);
  if (axis.is_seed() && has_fixed_seeds)
    entries.emplace_back(fmt::format("Fixed {} Values", letter),
                         fmt::format("{}", fmt::join(axis.values, ", ")));
}

// All cells, the axis of the highest cost outermost; of equal ones Z, then Y.
std::vector<std::size_t> cheapest_order(const std::array<Axis, 3>& axes) {
  std::array<int, 3> outermost_last = {0, 1, 2};
  std::ranges::stable_sort(outermost_last, {},
                           [&](int a) { return axes[static_cast<std::size_t>(a)].cost(); });
  const std::size_t columns = axes[0].values.size(), rows = axes[1].values.size();
  std::vector<std::size_t> order(columns * rows * axes[2].values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto place = [&](std::size_t cell, int axis) {
    return axis == 0 ? cell % columns : axis == 1 ? cell / columns % rows : cell / columns / rows;
  };
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    for (const int axis : {outermost_last[2], outermost_last[1], outermost_last[0]})
      if (place(a, axis) != place(b, axis)) return place(a, axis) < place(b, axis);
    return false;
  });
  return order;
}

std::vector<std::size_t> plain_order(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

// All combinations of the parts, over the columns or beside the rows: those left out are struck through.
std::vector<std::vector<image::GridLabel>> part_labels(std::span<const std::string> parts) {
  std::vector<std::vector<image::GridLabel>> labels(std::size_t{1} << parts.size());
  for (std::size_t combination = 0; combination < labels.size(); ++combination)
    for (std::size_t i = 0; i < parts.size(); ++i)
      labels[combination].push_back({parts[i], (combination >> i & 1) != 0});
  return labels;
}

}  // namespace

Series xyz_series(const GenerationRequest& base, const XyzSettings& settings, std::size_t most,
                  FaultList* found) {
  XyzSettings s = settings;
  GenerationRequest first = base;
  if (!s.keeps_random_seeds) {
    fix_seeds(first);
    for (Axis& axis : s.axes) fix_seeds(axis);
  }
  const auto& [x, y, z] = s.axes;
  check_count(x.values.size() * y.values.size() * z.values.size(), most);
  Series series;
  FaultList own;
  FaultList& faults = found == nullptr ? own : *found;
  for (std::size_t iz = 0; iz < z.values.size(); ++iz) {
    for (std::size_t iy = 0; iy < y.values.size(); ++iy) {
      for (std::size_t ix = 0; ix < x.values.size(); ++ix) {
        GenerationRequest& request = series.requests.emplace_back(first);
        for (const auto& [axis, index] : {std::pair(&x, ix), {&y, iy}, {&z, iz}})
          faults.add_from([&, axis = axis, index = index] { apply_axis(request, *axis, index); });
        std::size_t step = 1, more = 0;
        for (const auto& [varies, index, axis] : {std::tuple(s.varies_seeds[0], ix, &x),
                                                  {s.varies_seeds[1], iy, &y},
                                                  {s.varies_seeds[2], iz, &z}}) {
          if (!varies) continue;
          more += index * step;
          step *= axis->values.size();
        }
        if (request.seed >= 0) request.seed += static_cast<std::int64_t>(more);
      }
    }
  }
  own.throw_if_any();
  series.order = cheapest_order(s.axes);
  SeriesGrid& grid = series.grid.emplace(SeriesGrid{.columns = captions(x),
                                                    .rows = captions(y),
                                                    .sheets = captions(z),
                                                    .has_legend = s.has_legend,
                                                    .margin = s.margin});
  grid.sheet_entries.emplace_back("Script", "X/Y/Z plot");
  note_axis(grid.sheet_entries, 'X', x, !s.keeps_random_seeds);
  note_axis(grid.sheet_entries, 'Y', y, !s.keeps_random_seeds);
  grid.entries = grid.sheet_entries;
  note_axis(grid.entries, 'Z', z, !s.keeps_random_seeds);
  return series;
}

std::vector<std::string> idle_axes(const GenerationRequest& base, const std::array<Axis, 3>& axes,
                                   bool is_img2img) {
  struct Need {
    std::string_view api, needed;
    bool is_there;
  };
  const auto has_axis = [&](std::string_view api) { return std::ranges::count(axes, api, &Axis::api) > 0; };
  const bool has_hires = base.enable_hr || has_axis("enable_hr"), makes_anew = has_hires || is_img2img;
  const bool has_refiner = !base.refiner_checkpoint.empty() || has_axis("refiner_checkpoint");
  const bool varies = base.subseed_strength.value != 0 || has_axis("subseed_strength");
  const Need needs[] = {
      {"denoising_strength", "hires fix or an init picture", makes_anew},
      {"img2img_extra_noise", "hires fix or an init picture", makes_anew},
      {"initial_noise_multiplier", "an init picture", is_img2img},
      {"inpainting_mask_weight", "an init picture", is_img2img},
      {"token_merging_ratio_hr", "hires fix", has_hires},
      {"subseed", "a variation strength", varies},
      {"refiner_switch_at", "a refiner", has_refiner},
  };
  std::vector<std::string> idle;
  for (const Axis& axis : axes) {
    std::string_view needed = axis.api.starts_with("hr_") && !has_hires ? "hires fix" : "";
    for (const Need& need : needs)
      if (need.api == axis.api && !need.is_there) needed = need.needed;
    if (!needed.empty())
      idle.push_back(fmt::format("the axis '{}' has no effect without {}.", axis.label, needed));
  }
  return idle;
}

Series matrix_series(const GenerationRequest& base, const MatrixSettings& settings, std::size_t most) {
  GenerationRequest request = base;
  request.batch_size = request.batch_count = 1;
  fix_seeds(request);
  std::string& prompt = settings.varies_negative ? request.negative_prompt : request.prompt;
  const auto parts = matrix_parts(prompt);
  const auto prompts = prompt_matrix(prompt, settings.options);
  check_count(prompts.size(), most);
  Series series;
  const std::int64_t seed = request.seed;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompt = prompts[i];
    request.seed = seed + (settings.different_seeds ? static_cast<std::int64_t>(i) : 0);
    series.requests.push_back(request);
  }
  series.order = plain_order(series.requests.size());
  const std::span variable = std::span(parts).subspan(1);
  const std::size_t across = (variable.size() + 1) / 2;
  series.grid = SeriesGrid{.columns = part_labels(variable.first(across)),
                           .rows = part_labels(variable.subspan(across)),
                           .sheets = {{}},
                           .margin = settings.margin};
  return series;
}

Series prompts_series(std::string_view lines, const GenerationRequest& base, const LineOptions& options,
                      std::size_t most, FaultList* found) {
  GenerationRequest first = base;
  if ((options.iterates_seed || options.same_seed) && first.seed < 0)
    first.seed = static_cast<std::int64_t>(picture_seeds(first).front().seed);
  Series series;
  series.requests = prompts_from_lines(lines, first, options, found);
  check_count(series.requests.size(), most);
  series.order = plain_order(series.requests.size());
  return series;
}

GenerationRequest with_pictures(GenerationRequest request, const GenerationRequest& pictures) {
  request.init_images = pictures.init_images;
  request.mask = pictures.mask;
  request.latent_mask = pictures.latent_mask;
  request.firstpass_image = pictures.firstpass_image;
  return request;
}

SeriesSheets draw_sheets(const SeriesGrid& grid, const std::vector<const image::Picture*>& pictures) {
  const std::size_t size = grid.columns.size() * grid.rows.size();
  LOWRANK_CHECK(pictures.size() == size * grid.sheets.size());
  using Labels = std::vector<std::vector<image::GridLabel>>;
  const auto shown = [&](const Labels& labels) { return grid.has_legend ? labels : Labels(labels.size()); };
  const image::GridLegend legend{
      .columns = shown(grid.columns), .rows = shown(grid.rows), .margin = grid.margin};
  SeriesSheets result;
  for (std::size_t i = 0; i < grid.sheets.size(); ++i)
    result.sheets.push_back(image::labelled_grid(std::span(pictures).subspan(i * size, size), legend));
  std::vector<const image::Picture*> sheets;
  for (const auto& sheet : result.sheets) sheets.push_back(&sheet);
  result.whole = image::labelled_grid(sheets, {.columns = shown(grid.sheets), .rows = {{}}});
  return result;
}

std::string grid_metadata(const std::string& metadata,
                          const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string text;
  for (const auto& [label, value] : entries)
    if (!value.empty()) text += fmt::format(", {}: {}", label, prompt::quote_value(value));
  const auto version = metadata.rfind(", Version: ");
  std::string whole = metadata;
  whole.insert(version == std::string::npos ? whole.size() : version, text);
  return whole;
}

}  // namespace lowrank::request
