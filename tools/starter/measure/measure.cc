// Measures the starter model with figures: a small classifier (the judge) learns the drawings, its accuracy
// on drawings it never saw is stated, and then it looks at pictures that the model made.
//
//   starter_measure train --data DRAWINGS --judge judge.safetensors [--steps N]
//   starter_measure judge --data DRAWINGS --judge judge.safetensors --pictures DIR --out figures.md
//
// PICTURES holds base/I.png, one for each caption of heldout.json, and lora/NAME/WEIGHT/P-SEED.png, P
// counting the prompts of the LoRA in lora/index.json.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "image/codec/codec.h"
#include "model/layer.h"
#include "request/training/schedules.h"
#include "tensor/state_dict.h"
#include "training/optim/optimiser_table.h"
#include "training/run/train_state.h"
#include "weights/tensor_file.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kSide = 64;  // what the judge sees; drawings are twice as large

json read_json(const fs::path& path) {
  return json::parse(read_file(path, std::size_t{1} << 28));
}

at::Tensor load(const fs::path& path) {
  const image::Picture picture = image::load_picture(path);
  const image::Picture small =
      picture.width == 2 * kSide ? picture : image::resize(picture, 2 * kSide, 2 * kSide);
  at::Tensor rows = at::empty({2 * kSide, 2 * kSide, 3}, at::kByte);
  std::memcpy(rows.data_ptr(), small.rgb.data(), small.rgb.size());
  return at::avg_pool2d(rows.permute({2, 0, 1}).unsqueeze(0).to(at::kFloat), {2, 2})[0].round().to(at::kByte);
}

// What is in a picture; -1 where it does not say.
struct Example {
  fs::path file;
  std::int64_t subject = -1, style = -1, background = -1, lora = -1;
};

struct Vocabulary {
  std::vector<std::string> subjects, styles, backgrounds, loras;
};

std::int64_t place(const std::vector<std::string>& all, const std::string& one) {
  const auto at = std::find(all.begin(), all.end(), one);
  return at == all.end() ? -1 : at - all.begin();
}

Example example(const json& entry, const fs::path& data, const Vocabulary& words, std::int64_t lora) {
  const auto text = [&](const char* key) {
    return entry.contains(key) && entry[key].is_string() ? entry[key].get<std::string>() : "";
  };
  return {data / text("file"), place(words.subjects, text("subject")), place(words.styles, text("style")),
          place(words.backgrounds, text("background")), lora};
}

struct Drawings {
  Vocabulary words;
  std::vector<Example> train, test, test_loras;
  json heldout, loras;
};

Drawings read_drawings(const fs::path& data) {
  Drawings all;
  const json index = read_json(data / "index.json");
  all.heldout = read_json(data / "heldout.json");
  all.loras = read_json(data / "lora" / "index.json").at("loras");
  for (const auto& subject : index.at("subjects")) all.words.subjects.push_back(subject.at("name"));
  all.words.styles = index.at("styles").get<std::vector<std::string>>();
  for (const auto& [name, value] : index.at("colours").items()) all.words.backgrounds.push_back(name);
  for (const auto& lora : all.loras) all.words.loras.push_back(lora.at("name"));
  for (const auto& entry : index.at("pictures")) all.train.push_back(example(entry, data, all.words, -1));
  for (const auto& entry : index.at("evaluation").at("drawings"))
    all.test.push_back(example(entry, data, all.words, -1));
  for (std::size_t i = 0; i < all.loras.size(); ++i) {
    const auto lora = static_cast<std::int64_t>(i);
    for (const auto& entry : all.loras[i].at("pictures"))
      all.train.push_back(example(entry, data, all.words, lora));
    for (const auto& entry : all.loras[i].at("evaluation"))
      all.test_loras.push_back(example(entry, data, all.words, lora));
  }
  return all;
}

struct Batch {
  at::Tensor pictures, subject, style, background, lora;  // uint8 [N, 3, 64, 64]; int64 [N]
};

Batch load_all(const std::vector<Example>& examples) {
  std::vector<at::Tensor> pictures;
  std::vector<std::int64_t> labels[4];
  for (const Example& e : examples) {
    pictures.push_back(load(e.file));
    labels[0].push_back(e.subject);
    labels[1].push_back(e.style);
    labels[2].push_back(e.background);
    labels[3].push_back(e.lora);
  }
  const auto tensor = [](const std::vector<std::int64_t>& v) { return at::tensor(v, at::kLong); };
  return {at::stack(pictures), tensor(labels[0]), tensor(labels[1]), tensor(labels[2]), tensor(labels[3])};
}

// Generated pictures are softer and noisier than drawings: the judge must not mind.
at::Tensor augment(const at::Tensor& bytes, at::Generator generator) {
  at::Tensor x = bytes.to(at::kFloat).div(127.5).sub(1);
  const std::int64_t count = x.size(0);
  std::vector<at::Tensor> shifted;
  const at::Tensor moves = at::randint(-4, 5, {count, 2}, generator, at::kLong);
  const at::Tensor chance = at::empty({4, count, 1, 1, 1}).uniform_(0, 1, generator);
  for (std::int64_t i = 0; i < count; ++i) {
    const at::Tensor wide = at::replication_pad2d(x.narrow(0, i, 1), {4, 4, 4, 4})[0];
    const at::Tensor part = wide.narrow(1, 4 + moves[i][0].item<std::int64_t>(), kSide)
                                .narrow(2, 4 + moves[i][1].item<std::int64_t>(), kSide);
    shifted.push_back(chance[3][i].item<float>() < 0.5F ? part.flip(2) : part);
  }
  x = at::stack(shifted);
  const at::Tensor soft = at::avg_pool2d(at::replication_pad2d(x, {1, 1, 1, 1}), {3, 3}, {1, 1});
  const at::Tensor softer = at::avg_pool2d(at::replication_pad2d(soft, {1, 1, 1, 1}), {3, 3}, {1, 1});
  x = at::where(chance[0] < 0.35, soft, at::where(chance[0] < 0.6, softer, x));
  x = x * (0.85 + 0.3 * chance[1]) + 0.2 * (chance[2] - 0.5);
  return x + 0.08 * at::empty(x.sizes()).normal_(0, 1, generator);
}

// Five convolutions with group norm, then one linear layer for all heads.
class Judge {
 public:
  Judge(const Vocabulary& words, std::uint64_t seed)
      : sizes_{static_cast<std::int64_t>(words.subjects.size()),
               static_cast<std::int64_t>(words.styles.size()),
               static_cast<std::int64_t>(words.backgrounds.size()),
               static_cast<std::int64_t>(words.loras.size())} {
    at::Generator generator = training::step_generator(seed, 0);
    std::int64_t in = 3;
    for (std::size_t i = 0; i < kWidths.size(); ++i) {
      const std::int64_t out = kWidths[i];
      add(fmt::format("conv{}.weight", i),
          at::empty({out, in, 3, 3}).normal_(0, std::sqrt(2.0 / static_cast<double>(9 * in)), generator));
      add(fmt::format("norm{}.weight", i), at::ones({out}));
      add(fmt::format("norm{}.bias", i), at::zeros({out}));
      in = out;
    }
    const std::int64_t heads = sizes_[0] + sizes_[1] + sizes_[2] + sizes_[3];
    add("head.weight", at::empty({heads, in * 5}).normal_(0, 0.01, generator));
    add("head.bias", at::zeros({heads}));
  }

  std::vector<model::NamedParameter> parameters() const { return parameters_; }

  // float [N, 3, 64, 64] in −1…1 → logits of subject, style, background and of each LoRA's thing.
  std::array<at::Tensor, 4> operator()(at::Tensor x) const {
    for (std::size_t i = 0; i < kWidths.size(); ++i) {
      x = at::conv2d(x, of(fmt::format("conv{}.weight", i)), {}, 1, 1);
      x = at::relu(
          at::group_norm(x, 8, of(fmt::format("norm{}.weight", i)), of(fmt::format("norm{}.bias", i))));
      if (i + 1 < kWidths.size()) x = at::max_pool2d(x, {2, 2});
    }
    // The last map is 4×4: its quarters, and all of it.
    const at::Tensor features = at::cat({at::avg_pool2d(x, {2, 2}).flatten(1), x.mean({2, 3})}, 1);
    const at::Tensor y = at::linear(features, of("head.weight"), of("head.bias"));
    std::array<at::Tensor, 4> heads;
    std::int64_t from = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      heads[i] = y.narrow(1, from, sizes_[i]);
      from += sizes_[i];
    }
    return heads;
  }

 private:
  static constexpr std::array<std::int64_t, 5> kWidths = {32, 64, 96, 128, 160};

  void add(std::string name, at::Tensor value) { parameters_.push_back({std::move(name), std::move(value)}); }
  const at::Tensor& of(const std::string& name) const {
    return std::find_if(parameters_.begin(), parameters_.end(), [&](const auto& p) { return p.name == name; })
        ->tensor;
  }

  std::array<std::int64_t, 4> sizes_;
  std::vector<model::NamedParameter> parameters_;
};

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels) {
  const at::Tensor known = labels >= 0;
  const at::Tensor picked = at::log_softmax(logits, 1).gather(1, labels.clamp_min(0).unsqueeze(1)).squeeze(1);
  return -(picked * known).sum() / known.sum().clamp_min(1);
}

at::Tensor things(const at::Tensor& lora, std::int64_t count) {
  return (lora.unsqueeze(1) == at::arange(count, at::kLong).unsqueeze(0)).to(at::kFloat);
}

std::array<at::Tensor, 4> look(const Judge& judge, const at::Tensor& bytes) {
  const at::NoGradGuard no_grad;
  std::array<std::vector<at::Tensor>, 4> parts;
  for (std::int64_t from = 0; from < bytes.size(0); from += 64) {
    const auto heads = judge(bytes.narrow(0, from, std::min<std::int64_t>(64, bytes.size(0) - from))
                                 .to(at::kFloat)
                                 .div(127.5)
                                 .sub(1));
    for (std::size_t i = 0; i < 4; ++i) parts[i].push_back(heads[i]);
  }
  return {at::cat(parts[0]), at::cat(parts[1]), at::cat(parts[2]), at::cat(parts[3])};
}

// Share of rows whose label is among the `best` highest logits; rows without a label do not count.
double accuracy(const at::Tensor& logits, const at::Tensor& labels, std::int64_t best = 1) {
  const at::Tensor known = labels >= 0;
  if (known.sum().item<std::int64_t>() == 0) return 0;
  const at::Tensor hit = (std::get<1>(logits.topk(best, 1)) == labels.unsqueeze(1)).any(1);
  return hit.logical_and(known).sum().item<double>() / known.sum().item<double>();
}

void train(const fs::path& data, const fs::path& file, std::int64_t steps) {
  const Drawings drawings = read_drawings(data);
  const Batch all = load_all(drawings.train);
  Judge judge(drawings.words, 1);
  for (auto& p : judge.parameters()) p.tensor.requires_grad_(true);
  std::vector<training::TrainedParameter> trained;
  for (const auto& [name, tensor] : judge.parameters())
    trained.push_back({name, tensor, 1.5e-3, tensor.dim() >= 2});
  const auto optimiser = training::make_optimiser("AdamW", std::move(trained), {.weight_decay = 0.02});
  const request::LearningRateSchedule schedule("cosine", steps, 50);
  const std::int64_t plain = (all.lora < 0).sum().item<std::int64_t>(), count = all.lora.size(0), batch = 64;
  double mean = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    at::Generator generator = training::step_generator(7, step);
    // A third of each batch shows the LoRAs' things, which are few.
    const at::Tensor rows =
        at::cat({at::randint(0, plain, {batch * 2 / 3}, generator, at::kLong),
                 at::randint(plain, count, {batch - batch * 2 / 3}, generator, at::kLong)});
    const auto heads = judge(augment(all.pictures.index_select(0, rows), generator));
    const at::Tensor lora = things(all.lora.index_select(0, rows), heads[3].size(1));
    const at::Tensor loss = cross_entropy(heads[0], all.subject.index_select(0, rows)) +
                            cross_entropy(heads[1], all.style.index_select(0, rows)) +
                            cross_entropy(heads[2], all.background.index_select(0, rows)) +
                            at::binary_cross_entropy_with_logits(heads[3], lora);
    loss.backward();
    optimiser->clip_gradients(5.0);
    optimiser->step(schedule.factor(step));
    mean += (loss.item<double>() - mean) * (step < 50 ? 1.0 / static_cast<double>(step + 1) : 0.02);
    if ((step + 1) % 100 == 0) fmt::print(stderr, "judge {}/{} loss {:.3f}\n", step + 1, steps, mean);
  }
  tensor::StateDict state;
  for (auto& p : judge.parameters()) state.emplace(p.name, p.tensor.requires_grad_(false));
  tensor::save_state_dict(file.string(), state);
}

Judge load_judge(const Drawings& drawings, const fs::path& file) {
  Judge judge(drawings.words, 1);
  const auto saved = weights::TensorFile::open(file);
  for (auto& p : judge.parameters()) {
    const auto view = saved->find(p.name);
    if (!view) throw Error(kBadInput, "{}: lacks {}; train the judge anew.", file.string(), p.name);
    p.tensor.copy_(tensor::as_tensor(*view, saved));
  }
  return judge;
}

std::string percent(double share) {
  return fmt::format("{:.0f} %", 100 * share);
}

void report(const fs::path& data, const fs::path& judge_file, const fs::path& pictures, const fs::path& out) {
  const Drawings drawings = read_drawings(data);
  const Judge judge = load_judge(drawings, judge_file);
  const Vocabulary& words = drawings.words;
  std::string text;

  const Batch test = load_all(drawings.test), test_loras = load_all(drawings.test_loras);
  const auto seen = look(judge, test.pictures), seen_loras = look(judge, test_loras.pictures);

  std::vector<at::Tensor> base;
  std::vector<std::int64_t> labels[3];
  for (std::size_t i = 0; i < drawings.heldout.size(); ++i) {
    const fs::path file = pictures / "base" / fmt::format("{}.png", i);
    if (!fs::exists(file)) continue;
    const json& entry = drawings.heldout[i];
    base.push_back(load(file));
    labels[0].push_back(place(words.subjects, entry.at("subject")));
    labels[1].push_back(
        entry.contains("style") && entry["style"].is_string() ? place(words.styles, entry["style"]) : -1);
    labels[2].push_back(place(words.backgrounds, entry.at("background")));
  }
  if (base.empty()) throw Error(kNotFound, "{}: contains no pictures base/I.png.", pictures.string());
  const auto drawn = look(judge, at::stack(base));
  text += fmt::format(
      "### How well the base model follows unseen captions\n\n{} captions whose combination was not in "
      "training. "
      "Judge: a small classifier; its own accuracy on {} unseen drawings is listed under \"real "
      "drawings\".\n\n",
      base.size(), drawings.test.size());
  text += "| correct | generated | real drawings | by chance |\n|---|---|---|---|\n";
  const auto row = [&](const char* name, std::size_t head, std::int64_t best) {
    const at::Tensor truth = head == 0 ? test.subject : head == 1 ? test.style : test.background;
    text += fmt::format("| {} | {} | {} | {} |\n", name,
                        percent(accuracy(drawn[head], at::tensor(labels[head], at::kLong), best)),
                        percent(accuracy(seen[head], truth, best)),
                        percent(static_cast<double>(best) / static_cast<double>(seen[head].size(1))));
  };
  row(fmt::format("subject, first guess of {}", words.subjects.size()).c_str(), 0, 1);
  row("subject, among the first five guesses", 0, 5);
  row("style", 1, 1);
  row("background colour", 2, 1);

  const at::Tensor sure = at::sigmoid(seen_loras[3]), none = at::sigmoid(seen[3]);
  text +=
      "\n### Effect of each LoRA by weight\n\nMean probability, according to the classifier, that the "
      "picture shows "
      "what the LoRA was trained on.\n\n";
  text +=
      "| LoRA | without | 0.25 | 0.5 | 0.75 | 1 | real drawings of it | other drawings "
      "|\n|---|---|---|---|---|---|---|---|\n";
  for (std::size_t i = 0; i < words.loras.size(); ++i) {
    const auto lora = static_cast<std::int64_t>(i);
    text += fmt::format("| {} |", words.loras[i]);
    for (const char* weight : {"0", "0.25", "0.5", "0.75", "1"}) {
      std::vector<at::Tensor> made;
      std::error_code problem;
      for (const auto& entry : fs::directory_iterator(pictures / "lora" / words.loras[i] / weight, problem))
        if (entry.path().extension() == ".png") made.push_back(load(entry.path()));
      text +=
          made.empty()
              ? " – |"
              : fmt::format(
                    " {} |",
                    percent(
                        at::sigmoid(look(judge, at::stack(made))[3]).select(1, lora).mean().item<double>()));
    }
    const at::Tensor mine = test_loras.lora == lora;
    text +=
        fmt::format(" {} | {} |\n",
                    percent((sure.select(1, lora) * mine).sum().item<double>() / mine.sum().item<double>()),
                    percent(none.select(1, lora).mean().item<double>()));
  }
  AtomicFile file(out.string());
  file.write(text);
  file.commit();
  fmt::print("{}", text);
}

int run(int count, char** words) {
  std::map<std::string, std::string> given;
  for (int i = 2; i + 1 < count; i += 2) given[words[i]] = words[i + 1];
  const std::string mode = count > 1 ? words[1] : "";
  if (mode == "train") {
    train(given["--data"], given["--judge"], given.contains("--steps") ? std::stol(given["--steps"]) : 3000);
  } else if (mode == "judge") {
    report(given["--data"], given["--judge"], given["--pictures"], given["--out"]);
  } else {
    fmt::print(stderr,
               "usage: starter_measure train --data DIR --judge FILE [--steps N]\n"
               "       starter_measure judge --data DIR --judge FILE --pictures DIR --out FILE\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace lowrank

int main(int count, char** words) {
  try {
    return lowrank::run(count, words);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
