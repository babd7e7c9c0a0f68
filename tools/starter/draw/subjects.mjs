// The things that the starter model can draw: [the word of the captions, the code points of the emoji].
//
// Each stands in both flat sets under the same code points and is clear at 128 pixels. They are few enough that a small
// model, trained for some hours on two cores, draws each of them well: with 319 it drew none. The words are the CLDR
// labels of emojibase-data, shortened where a label is clumsy ("spiral shell" is a seashell, "automobile" a car).
// What the LoRAs teach (robot, umbrella, top hat and every other hat, lotus position, bubble) is in no drawing here.
const GROUPS = {
  animal: [
    ['dog face', '1F436'], ['fox', '1F98A'], ['cat face', '1F431'], ['lion', '1F981'],
    ['tiger face', '1F42F'], ['cow face', '1F42E'], ['pig face', '1F437'], ['elephant', '1F418'],
    ['rabbit face', '1F430'], ['bear', '1F43B'], ['koala', '1F428'], ['panda', '1F43C'],
    ['chick', '1F424'], ['penguin', '1F427'], ['duck', '1F986'], ['owl', '1F989'], ['frog', '1F438'],
    ['turtle', '1F422'], ['whale', '1F40B'], ['fish', '1F41F'], ['octopus', '1F419'],
    ['butterfly', '1F98B'], ['bee', '1F41D'],
  ],
  plant: [
    ['sunflower', '1F33B'], ['tree', '1F333'], ['cactus', '1F335'], ['mushroom', '1F344'],
  ],
  food: [
    ['watermelon', '1F349'], ['lemon', '1F34B'], ['banana', '1F34C'], ['apple', '1F34E'],
    ['strawberry', '1F353'], ['avocado', '1F951'], ['hamburger', '1F354'], ['pizza', '1F355'],
    ['ice cream cone', '1F366'], ['donut', '1F369'], ['cupcake', '1F9C1'],
  ],
  vehicle: [
    ['bus', '1F68C'], ['car', '1F697'], ['sailboat', '26F5'], ['airplane', '2708'], ['rocket', '1F680'],
    ['ufo', '1F6F8'],
  ],
  place: [
    ['house', '1F3E0'], ['castle', '1F3F0'],
  ],
  object: [
    ['star', '2B50'], ['crescent moon', '1F319'], ['sun', '2600'], ['balloon', '1F388'], ['gift', '1F381'],
    ['soccer ball', '26BD'], ['bell', '1F514'], ['guitar', '1F3B8'], ['key', '1F511'],
    ['red heart', '2764'], ['crown', '1F451'],
  ],
  person: [
    ['boy', '1F466'], ['girl', '1F467'], ['man', '1F468'], ['woman', '1F469'], ['old man', '1F474'],
    ['old woman', '1F475'], ['standing man', '1F9CD-200D-2642-FE0F'],
    ['standing woman', '1F9CD-200D-2640-FE0F'], ['clown', '1F921'], ['ghost', '1F47B'], ['alien', '1F47D'],
    ['skull', '1F480'],
  ],
};

export const SUBJECTS = Object.entries(GROUPS).flatMap(([group, rows]) =>
  rows.map(([name, hexcode]) => ({ name, hexcode, group })));

export const COLOURS = {
  red: [214, 48, 44],
  orange: [245, 138, 32],
  yellow: [250, 214, 58],
  green: [72, 168, 70],
  blue: [58, 112, 218],
  purple: [132, 76, 186],
  pink: [246, 160, 194],
  white: [248, 248, 248],
  black: [26, 26, 28],
  gray: [150, 150, 153],
  brown: [128, 82, 52],
  teal: [28, 152, 150],
};
