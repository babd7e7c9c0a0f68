import { useEffect, useRef, useState } from 'preact/hooks';
import { Slider } from './fields';

interface Props {
  image: string;
  mask: string;
  onMask: (mask: string) => void;
}

interface Point {
  x: number;
  y: number;
}

/**
 * Paints what shall be drawn anew, white on black, with mouse, pen, finger or keys: arrows move the brush, space paints,
 * E erases, + and - change its size, Ctrl-Z takes back.
 */
export function MaskEditor({ image, mask, onMask }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const history = useRef<ImageData[]>([]);
  const last = useRef<Point | null>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [brush, setBrush] = useState(12);
  const [isErasing, setErasing] = useState(false);
  const [place, setPlace] = useState<Point>({ x: 0.5, y: 0.5 });
  const [isKeyed, setKeyed] = useState(false);
  const [message, setMessage] = useState('');

  // The canvas holds the painted part opaque and the rest transparent; the mask for the server is made from it.
  const context = () => canvas.current?.getContext('2d', { willReadFrequently: true }) ?? null;
  useEffect(() => {
    const picture = new Image();
    picture.onload = () => {
      setSize({ width: picture.naturalWidth, height: picture.naturalHeight });
      history.current = [];
    };
    picture.src = image;
  }, [image]);
  useEffect(() => {
    if (!mask || size.width === 0) return;
    const old = new Image();
    old.onload = () => {
      const c = context();
      if (!c) return;
      c.drawImage(old, 0, 0, size.width, size.height);
      const data = c.getImageData(0, 0, size.width, size.height);
      for (let i = 0; i < data.data.length; i += 4) data.data[i + 3] = data.data[i]! > 127 ? 255 : 0;
      c.putImageData(data, 0, 0);
    };
    old.src = mask;
  }, [size.width, size.height]);

  const remember = () => {
    const c = context();
    if (c) history.current = [...history.current.slice(-29), c.getImageData(0, 0, size.width, size.height)];
  };
  const stroke = (from: Point, to: Point, erase: boolean) => {
    const c = context();
    if (!c) return;
    c.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
    c.strokeStyle = '#fff';
    c.lineCap = 'round';
    c.lineJoin = 'round';
    c.lineWidth = (brush / 100) * Math.max(size.width, size.height);
    c.beginPath();
    c.moveTo(from.x * size.width, from.y * size.height);
    c.lineTo(to.x * size.width + 0.01, to.y * size.height);
    c.stroke();
  };
  const publish = () => {
    const c = context();
    if (!c) return;
    const painted = c.getImageData(0, 0, size.width, size.height);
    let count = 0;
    for (let i = 0; i < painted.data.length; i += 4) {
      const value = painted.data[i + 3]! > 127 ? 255 : 0;
      if (value) ++count;
      painted.data[i] = painted.data[i + 1] = painted.data[i + 2] = value;
      painted.data[i + 3] = 255;
    }
    setMessage(`${Math.round((count * 100) / (size.width * size.height))} % of the image is masked.`);
    if (count === 0) return onMask('');
    const out = document.createElement('canvas');
    out.width = size.width;
    out.height = size.height;
    out.getContext('2d')!.putImageData(painted, 0, 0);
    onMask(out.toDataURL('image/png'));
  };
  const undo = () => {
    const before = history.current.pop();
    if (before) context()?.putImageData(before, 0, 0);
    publish();
  };
  const clear = () => {
    remember();
    context()?.clearRect(0, 0, size.width, size.height);
    publish();
  };
  const at = (event: PointerEvent): Point => {
    const box = canvas.current!.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.shiftKey ? 0.1 : 0.03;
    const moves: Record<string, Point> = {
      ArrowLeft: { x: -step, y: 0 }, ArrowRight: { x: step, y: 0 }, ArrowUp: { x: 0, y: -step }, ArrowDown: { x: 0, y: step },
    };
    const move = moves[event.key];
    const key = event.key.toLowerCase();
    if (move) {
      setKeyed(true);
      setPlace((p) => ({ x: Math.min(1, Math.max(0, p.x + move.x)), y: Math.min(1, Math.max(0, p.y + move.y)) }));
    } else if (event.key === ' ') {
      setKeyed(true);
      remember();
      stroke(place, place, isErasing);
      publish();
    } else if (key === 'e') setErasing(!isErasing);
    else if (key === '+' || key === '=') setBrush(Math.min(60, brush + 2));
    else if (key === '-') setBrush(Math.max(2, brush - 2));
    else if (key === 'z' && (event.ctrlKey || event.metaKey)) undo();
    else return;
    event.preventDefault();
  };

  return (
    <div class="mask">
      <div class="mask-field" style={size.width ? { aspectRatio: `${size.width} / ${size.height}` } : {}}>
        <img src={image} alt="" />
        <canvas
          ref={canvas} width={size.width} height={size.height} tabIndex={0} role="application"
          aria-label="Mask: arrow keys move the brush, space paints, E erases, plus and minus change its size, Control Z undoes"
          onKeyDown={onKeyDown}
          onFocus={() => setKeyed(true)}
          onBlur={() => setKeyed(false)}
          onPointerDown={(e) => {
            if (e.button > 0 && e.pointerType === 'mouse') return;
            setKeyed(false);
            e.currentTarget.setPointerCapture(e.pointerId);
            remember();
            last.current = at(e);
            stroke(last.current, last.current, isErasing);
          }}
          onPointerMove={(e) => {
            if (!last.current) return;
            const here = at(e);
            stroke(last.current, here, isErasing);
            last.current = here;
          }}
          onPointerUp={() => {
            last.current = null;
            publish();
          }}
          onPointerCancel={() => {
            last.current = null;
            publish();
          }}
        />
        {isKeyed && (
          <span
            class="mask-brush" aria-hidden="true"
            style={{ left: `${place.x * 100}%`, top: `${place.y * 100}%`, width: `${brush}%`, borderStyle: isErasing ? 'dashed' : 'solid' }}
          />
        )}
      </div>
      <p class="unseen" aria-live="polite">{message}</p>
      <Slider label="Brush size, % of the image" value={brush} field={{ min: 2, max: 60, step: 1 }} onChange={setBrush} />
      <div class="row">
        <button type="button" class="small" aria-pressed={isErasing} onClick={() => setErasing(!isErasing)}>Erase</button>
        <button type="button" class="small" onClick={undo}>Undo</button>
        <button type="button" class="small" onClick={clear}>Clear</button>
      </div>
    </div>
  );
}
