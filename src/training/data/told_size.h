// What SDXL learns a picture's size and cut by. The network is told them with every step, so that small or cut pictures
// of a set need not show in what is drawn later.
#pragma once

#include "pipeline/generate/size_vectors.h"
#include "training/data/buckets.h"

namespace lowrank::training {

enum class Mirrored { kNo, kYes };

// `picture`: the file's own size, before it was fitted. Original: that size. Target: the bucket. Crop: how far a picture
// fitted into the bucket would stay from its left and upper edge,
//
//   left = ⌊(bucket width − fitted width) / 2⌋      fitted: of the picture's shape, both sides ≤ the bucket's
//   left when mirrored = bucket width − (left + fitted width), cut to a whole number
//
// which is not where the picture is cut (that is along the other axis), but what kohya's trainer tells SDXL, after the
// preparation of SDXL's own training pictures: LoRAs made by either see the same numbers.
// Source: kohya sd-scripts, library/train_util.py, BucketManager.get_crop_ltrb and __getitem__.
pipeline::PictureSize told_size(PixelSize picture, PixelSize bucket, Mirrored mirrored);

}  // namespace lowrank::training
