#!/bin/sh
# Makes clip.h264 and clip.aac, the demo camera's picture and sound, and small.h264 for tests. Needs ffmpeg with libx264 and fonts-dejavu.
# Picture: 640x360, 15 fps, H.264 Main without B-frames, a key frame each second, 30 s that end where they begin:
# a porthole whose hand turns once in 30 s, a dot that runs round it every 2 s, and a clock of seconds and frames.
# Sound: 16 kHz mono AAC-LC, 8 s = 125 frames exactly, a soft tick each second; it loops by itself, beside the picture.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sans=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
mono=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf

# The hull with its brass ring and the sea inside, one picture; edges are soft over 2 pixels.
ring='hypot(X-190,Y-180)'
pane="clip(($ring-134)/2,0,1)"
brass="clip(1-abs($ring-142)/9*0.9,0,1)*clip((152-$ring)/2,0,1)*clip(($ring-132)/2,0,1)"
mark="lt(abs(mod(atan2(Y-180,X-190)/PI*6+12.5,1)-0.5)*$ring,6)*between($ring,112,126)"
mix() { # hull sea brass mark
    echo "$1*$pane+$2*(1-$pane)+($3-$1*$pane-$2*(1-$pane))*$brass+($4-$2)*$mark"
}
ffmpeg -v error -y -f lavfi -i "color=black:size=640x360,format=gbrp,geq=r='$(mix 16 22 196 120)':g='$(mix 26 70 156 170)':b='$(mix 38 98 84 190)'" \
    -frames:v 1 "$work/hull.png"
# Hand and dot, pointing up in a square around the porthole's middle.
ffmpeg -v error -y -f lavfi -i "color=black:size=270x270,format=rgba,geq=r=240:g=236:b=220:a='255*clip(2.5-abs(X-135),0,1)*between(Y,32,150)'" \
    -frames:v 1 "$work/hand.png"
ffmpeg -v error -y -f lavfi -i "color=black:size=270x270,format=rgba,geq=r=255:g=120:b=70:a='255*clip(8-hypot(X-135,Y-14),0,1)'" \
    -frames:v 1 "$work/dot.png"

label="fontfile=$sans:fontcolor=0xC8D4DC"
ffmpeg -v error -y -loop 1 -framerate 15 -i "$work/hull.png" -loop 1 -framerate 15 -i "$work/hand.png" \
    -loop 1 -framerate 15 -i "$work/dot.png" -t 30 -filter_complex "
    [1]rotate=2*PI*t/30:c=none[hand];[2]rotate=PI*t:c=none[dot];
    [0][hand]overlay=55:45:format=gbrp[a];[a][dot]overlay=55:45:format=gbrp,
    drawtext=$label:fontsize=30:x=372:y=84:text=Porthole,
    drawtext=$label:fontsize=16:x=374:y=126:text=demo camera,
    drawtext=fontfile=$mono:fontcolor=white:fontsize=74:x=368:y=166:text='%{eif\:floor(n/15)\:d\:2}',
    drawtext=fontfile=$mono:fontcolor=0xFF7846:fontsize=74:x=486:y=166:text='%{eif\:mod(n,15)\:d\:2}',
    drawtext=$label:fontsize=16:x=374:y=246:text=second,drawtext=$label:fontsize=16:x=492:y=246:text=frame,
    scale=out_color_matrix=bt709:out_range=tv,format=yuv420p" \
    -c:v libx264 -profile:v main -preset veryslow -tune animation -bf 0 -g 15 -keyint_min 15 -sc_threshold 0 -refs 1 \
    -crf "${CRF:-34}" -x264-params "threads=1:open-gop=0:ipratio=1.1" -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
    -bsf:v filter_units=remove_types=6 -f h264 "$work/clip.h264"

# Three turns of 8 s; the middle one (frames 126 to 250: one frame of encoder delay) joins itself without a click.
ffmpeg -v error -y -f lavfi -i "aevalsrc='0.20*sin(2*PI*1320*t)*exp(-90*mod(t,1))*lt(mod(t,1),0.12)':s=16000:d=24.2" \
    -c:a aac -b:a 24k -f adts "$work/all.aac"
python3 - "$work/all.aac" "$work/clip.aac" <<'PY'
import sys
data, frames, at = open(sys.argv[1], "rb").read(), [], 0
while at < len(data):
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    frames.append(data[at:at + size])
    at += size
open(sys.argv[2], "wb").write(b"".join(frames[126:251]))
PY
# The first second at a quarter of the size: other parameter sets, for the camera that changes its picture.
ffmpeg -v error -y -framerate 15 -i "$work/clip.h264" -frames:v 15 -vf scale=320:180 -c:v libx264 -profile:v main \
    -preset veryslow -bf 0 -g 15 -crf 38 -x264-params threads=1 -bsf:v filter_units=remove_types=6 -f h264 "$work/small.h264"
mv "$work/clip.h264" "$work/clip.aac" "$work/small.h264" .
ls -l clip.h264 clip.aac small.h264
