// One reader a program, for the table. Each answers nullopt when the picture is not from it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "prompt/generators/picture_settings.h"

namespace lowrank::prompt {

using PictureReading = std::optional<PictureSettings>;

PictureReading read_a1111(const PictureTexts& picture);
PictureReading read_a1111_api(const PictureTexts& picture);
PictureReading read_civitai(const PictureTexts& picture);
PictureReading read_comfyui(const PictureTexts& picture);
PictureReading read_draw_things(const PictureTexts& picture);
PictureReading read_easy_diffusion(const PictureTexts& picture);
PictureReading read_fooocus(const PictureTexts& picture);
PictureReading read_invokeai(const PictureTexts& picture);
PictureReading read_invokeai_2(const PictureTexts& picture);  // `sd-metadata`
PictureReading read_invokeai_dream(const PictureTexts& picture);
PictureReading read_novelai(const PictureTexts& picture);
PictureReading read_old_fooocus(const PictureTexts& picture);  // and Fooocus-MRE, RuinedFooocus
PictureReading read_space(const PictureTexts& picture);        // demos on Hugging Face
PictureReading read_swarmui(const PictureTexts& picture);
PictureReading read_tensor_art(const PictureTexts& picture);

// What read_a1111_api() reads: fields of A1111's API, and their labels in an infotext.
std::vector<std::pair<std::string_view, std::string_view>> a1111_api_labels();

// A tag for each LoRA of the entry `Civitai resources`, unless the prompt has as many tags as it names LoRAs.
void add_resource_tags(Infotext& infotext);

// The text that takes the settings' place in most programs' pictures: `parameters`, EXIF's UserComment, a comment.
// nullptr when there is none.
const std::string* main_text(const PictureTexts& picture);

}  // namespace lowrank::prompt
