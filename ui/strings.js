export default {
  "en": {
    "ui": {
      "memory": "Memory",
      "segments_memory": "Video buffer",
      "uptime": "Running for",
      "version": "Version",
      "picture": "Picture",
      "codec": "Codec",
      "bitrate": "Bitrate",
      "key_frame": "Key frame",
      "of": "{used} of {limit} MB",
      "size": "{width} × {height}",
      "fps": "{fps} fps",
      "mbit": "{value} Mbit/s",
      "kbit": "{value} kbit/s",
      "key_age": "{age} s ago",
      "key_every": "every {every} s",
      "days": "{days} d {hours} h",
      "hours": "{hours} h {minutes} min",
      "minutes": "{minutes} min {seconds} s",
      "seconds": "{seconds} s",
      "sound": "Sound",
      "no_sound": "none",
      "sound_not_carried": "{codec} (not sent on)",
      "sound_by_hls": "{codec}, only over HLS",
      "sound_by_webrtc": "{codec}, only over WebRTC",
      "by_webrtc": "WebRTC, live",
      "by_hls": "HLS, a few seconds behind: {why}",
      "not_by_webrtc": "Not by WebRTC: {why}",
      "no_webrtc_picture": "No picture by WebRTC",
      "summary_loading": "Looking for cameras…",
      "summary_all": "All {total} cameras are live",
      "summary_one": "The camera is live",
      "summary_some": "{live} of {total} cameras are live",
      "summary_asleep": "{asleep} asleep",
      "summary_none": "No cameras",
      "no_cameras": "No camera is configured yet. Add a [[camera]] to the configuration file.",
      "lost": "No connection to Porthole. Trying again…",
      "hls_off": "HLS is not enabled",
      "hls_off_fix": "Set enabled = true under [hls] in the configuration.",
      "no_player": "This browser cannot play HLS, and hls.js is not part of this build. Use Safari, a current Chrome or VLC.",
      "tap_to_watch": "Tap to watch",
      "tap_wakes": "The camera sleeps while nobody watches.",
      "tap_to_play": "Tap to play",
      "tap_saving": "The browser does not start video by itself.",
      "connecting": "Connecting to the camera…",
      "loading": "Loading the picture…",
      "retrying": "The picture stopped. Trying again…",
      "cannot_play": "This browser cannot play {what}",
      "open_in_vlc": "Open the address below in VLC.",
      "choose_h264": "Set the camera to H.264, or open the address below in VLC.",
      "next_attempt": "Porthole keeps trying by itself.",
      "past_trouble": "{ago} ago: {what}",
      "full_screen": "{name}: full screen",
      "watch": "{name}: watch",
      "address_of": "{name}: HLS address, for VLC and other players",
      "copy": "Copy",
      "copy_of": "{name}: copy the HLS address",
      "copied": "Copied ✓",
      "copy_failed": "Not copied"
    },
    "state": {
      "sleeping": "Asleep",
      "starting": "Connecting",
      "streaming": "Live",
      "waiting": "No picture"
    },
    "why": {
      "connecting": "WebRTC is still connecting",
      "webrtc_off": "WebRTC is off",
      "webrtc_starting": "WebRTC is still starting",
      "webrtc_port": "WebRTC cannot open its port: is another program using it? ({error})",
      "webrtc_certificate": "WebRTC cannot make its certificate: restart the box ({error})",
      "webrtc_failed": "WebRTC cannot start: {error}",
      "chosen": "this page's address asks for it",
      "no_webrtc": "this browser has no WebRTC",
      "no_codec": "this browser has no {codec} over WebRTC",
      "no_shared_codec": "this browser has no {codec} over WebRTC",
      "b_frames": "no B-frames over WebRTC: set the camera to Baseline or Main without B-frames",
      "webrtc_full": "all {limit} WebRTC places are taken",
      "not_ready": "Porthole was not ready for WebRTC yet",
      "unknown_camera": "Porthole does not know this camera any more",
      "refused": "Porthole refused WebRTC with status {status}",
      "no_answer": "Porthole did not answer to WebRTC",
      "bad_answer": "this browser did not accept Porthole's WebRTC answer",
      "udp": "UDP {udp} did not get through",
      "udp_and_tcp": "UDP {udp} did not get through, nor did TCP {tcp}",
      "nothing_sent": "no picture came by WebRTC",
      "not_shown": "this browser shows nothing of WebRTC",
      "stalled": "the picture by WebRTC stopped",
      "broke_off": "the WebRTC connection broke off"
    },
    "fault": {
      "scheme_unsupported": {
        "what": "{scheme}:// addresses are not supported",
        "fix": "Use the camera's rtsp:// address."
      },
      "name_unknown": {
        "what": "The name {host} is not known on this network",
        "fix": "Check the name, or use the camera's IP address."
      },
      "no_route": {
        "what": "There is no way to {host} on this network",
        "fix": "Check the address, the cable and the network settings."
      },
      "no_answer": {
        "what": "{host} does not answer on port {port}",
        "fix": "Check that the camera is on, its cable, and its address."
      },
      "connection_refused": {
        "what": "{host} refuses the connection on port {port}",
        "fix": "Check the RTSP port, and that RTSP is enabled in the camera."
      },
      "connect_failed": {
        "what": "Connecting to {host} failed",
        "fix": "Check the address and the network. The system says: {detail}"
      },
      "not_rtsp": {
        "what": "Port {port} of {host} does not speak RTSP",
        "fix": "Check the port: it is usually 554."
      },
      "no_reply": {
        "what": "{host} does not answer {step}",
        "fix": "Porthole keeps trying. If this stays, restart the camera."
      },
      "connection_closed": {
        "what": "{host} closed the connection ({step})",
        "fix": "Porthole connects again by itself. If this comes often, check the cable and the power of the camera."
      },
      "password_needed": {
        "what": "{host} asks for a user name and a password",
        "fix": "Enter them in the configuration."
      },
      "password_refused": {
        "what": "{host} refuses the password",
        "fix": "Check user name and password in the configuration. After 3 tries Porthole tries every 5 minutes only, because cameras lock accounts."
      },
      "login_unsupported": {
        "what": "{host} asks for a kind of login that is not supported",
        "fix": "Allow Digest or Basic authentication in the camera."
      },
      "forbidden": {
        "what": "{host} forbids this stream",
        "fix": "Give this user the right to watch live video in the camera."
      },
      "path_not_found": {
        "what": "The camera has no path {path}",
        "fix": "Check the path in the camera's manual, and correct it in the configuration."
      },
      "session_limit": {
        "what": "{host} has no session left ({status})",
        "fix": "Close other viewers of this camera, or use its second stream."
      },
      "transport_refused": {
        "what": "{host} does not send by {transport}",
        "fix": "Choose another transport for this camera in the configuration."
      },
      "status": {
        "what": "{host} answers {step} with status {status}",
        "fix": "Porthole keeps trying. If this stays, restart the camera."
      },
      "bad_answer": {
        "what": "{host} answers {step} in a way that cannot be understood",
        "fix": "Porthole keeps trying. Update the camera's firmware. Detail: {detail}"
      },
      "no_video": {
        "what": "{host} offers no video on this path",
        "fix": "Check the path in the configuration, and that video is on in the camera."
      },
      "video_unsupported": {
        "what": "The camera sends {codec}",
        "fix": "H.264 or H.265 is needed: choose it in the camera."
      },
      "no_picture": {
        "what": "Connected, but no picture in {seconds} s",
        "fix": "Porthole connects again by itself. If this stays, restart the camera."
      },
      "no_udp_packets": {
        "what": "No packets arrived by UDP in {seconds} s",
        "fix": "Is a firewall between? Set transport = \"tcp\" if the camera can."
      },
      "silent": {
        "what": "The camera has been silent for {seconds} s",
        "fix": "Porthole connects again by itself. If this comes often, check the cable and the power of the camera."
      },
      "broken_stream": {
        "what": "{host} sends a broken stream",
        "fix": "Porthole connects again by itself. Detail: {detail}"
      },
      "small_udp_buffer": {
        "what": "UDP packets will be lost",
        "fix": "The system's receive buffer has {have} bytes, a key frame of this camera needs about {need}. Raise net.core.rmem_default, or use TCP."
      },
      "long_gop": {
        "what": "Key frame only every {seconds} s",
        "fix": "Set the key frame interval (GOP) in the camera to 1 or 2 s: the picture then starts sooner."
      },
      "no_key_frame": {
        "what": "No key frame in {seconds} s",
        "fix": "Turn intra refresh off in the camera, and set a key frame every 1 or 2 s."
      },
      "huge_picture": {
        "what": "A picture of {bytes} bytes was dropped",
        "fix": "At most {limit} bytes are taken: lower the picture size or the bitrate in the camera."
      },
      "clock_jump": {
        "what": "The camera's clock jumps",
        "fix": "Set its time source (NTP) right."
      },
      "tmpfs_full": {
        "what": "The memory for video is full ({path})",
        "fix": "Pictures are dropped until there is room. Remove other files there, or configure fewer cameras."
      },
      "tmpfs_share_full": {
        "what": "This camera's {megabytes} MB of memory for video are full",
        "fix": "Pictures are dropped until there is room. Lower the camera's bitrate."
      },
      "slow_viewer_cut_off": {
        "what": "A viewer was too slow and was cut off",
        "fix": "Its network is slower than this camera's bitrate: lower the bitrate. The segment was {file_name}."
      },
      "segment_without_key_frame": {
        "what": "No key frame for {seconds} s",
        "fix": "Set the key frame interval (GOP) in the camera to 1 or 2 s."
      },
      "segment_too_large": {
        "what": "A segment reached {megabytes} MB and was cut",
        "fix": "The camera sends more than this board's plan allows: lower its bitrate or its key frame interval."
      },
      "too_many_segments": {
        "what": "The camera's timestamps are broken",
        "fix": "They jump more than ten times a second, and pictures are lost. Restart the camera, or update its firmware."
      },
      "queue_overflow": {
        "what": "{units} pictures were dropped",
        "fix": "They came faster than this board could write them: lower the bitrate, or use fewer cameras."
      },
      "files": {
        "what": "A file could not be written",
        "fix": "Pictures are dropped until it works. The system says: {error}"
      }
    }
  },
  "ko": {
    "ui": {
      "memory": "메모리",
      "segments_memory": "영상 버퍼",
      "uptime": "가동 시간",
      "version": "버전",
      "picture": "화면",
      "codec": "코덱",
      "bitrate": "비트레이트",
      "key_frame": "키 프레임",
      "of": "{used} / {limit} MB",
      "size": "{width} × {height}",
      "fps": "{fps} fps",
      "mbit": "{value} Mbit/s",
      "kbit": "{value} kbit/s",
      "key_age": "{age}초 전",
      "key_every": "{every}초마다",
      "days": "{days}일 {hours}시간",
      "hours": "{hours}시간 {minutes}분",
      "minutes": "{minutes}분 {seconds}초",
      "seconds": "{seconds}초",
      "sound": "소리",
      "no_sound": "없음",
      "sound_not_carried": "{codec} (전달 안 됨)",
      "sound_by_hls": "{codec}, HLS에서만 나옴",
      "sound_by_webrtc": "{codec}, WebRTC에서만 나옴",
      "by_webrtc": "WebRTC, 실시간",
      "by_hls": "HLS, 몇 초 늦음: {why}",
      "not_by_webrtc": "WebRTC 사용 안 함: {why}",
      "no_webrtc_picture": "WebRTC로 화면이 나오지 않습니다",
      "summary_loading": "카메라를 찾는 중…",
      "summary_all": "카메라 {total}대 모두 정상",
      "summary_one": "카메라 정상",
      "summary_some": "카메라 {total}대 중 {live}대 정상",
      "summary_asleep": "{asleep}대 대기",
      "summary_none": "카메라 없음",
      "no_cameras": "아직 설정된 카메라가 없습니다. 설정 파일에 [[camera]]를 추가하세요.",
      "lost": "Porthole에 연결할 수 없습니다. 다시 시도하는 중…",
      "hls_off": "HLS가 꺼져 있습니다",
      "hls_off_fix": "설정의 [hls]에서 enabled = true로 바꾸세요.",
      "no_player": "이 브라우저는 HLS를 재생하지 못하며, 이 빌드에는 hls.js가 없습니다. Safari, 최신 Chrome 또는 VLC를 사용하세요.",
      "tap_to_watch": "눌러서 보기",
      "tap_wakes": "보는 사람이 없으면 카메라 연결을 쉽니다.",
      "tap_to_play": "눌러서 재생",
      "tap_saving": "브라우저가 영상을 자동으로 재생하지 않습니다.",
      "connecting": "카메라에 연결하는 중…",
      "loading": "화면을 불러오는 중…",
      "retrying": "화면이 멈췄습니다. 다시 시도하는 중…",
      "cannot_play": "이 브라우저는 {what} 영상을 재생하지 못합니다",
      "open_in_vlc": "아래 주소를 VLC에서 여세요.",
      "choose_h264": "카메라를 H.264로 설정하거나 아래 주소를 VLC에서 여세요.",
      "next_attempt": "Porthole이 자동으로 계속 시도합니다.",
      "past_trouble": "{ago} 전: {what}",
      "full_screen": "{name}: 전체 화면",
      "watch": "{name}: 보기",
      "address_of": "{name}: HLS 주소 (VLC 등 다른 플레이어용)",
      "copy": "복사",
      "copy_of": "{name}: HLS 주소 복사",
      "copied": "복사됨 ✓",
      "copy_failed": "복사 실패"
    },
    "state": {
      "sleeping": "대기",
      "starting": "연결 중",
      "streaming": "실시간",
      "waiting": "영상 없음"
    },
    "why": {
      "connecting": "WebRTC 연결 중",
      "webrtc_off": "WebRTC가 꺼져 있음",
      "webrtc_starting": "WebRTC 시작 중",
      "webrtc_port": "WebRTC 포트를 열 수 없음: 다른 프로그램이 쓰고 있는지 확인하세요 ({error})",
      "webrtc_certificate": "WebRTC 인증서를 만들 수 없음: 장비를 다시 시작하세요 ({error})",
      "webrtc_failed": "WebRTC를 시작할 수 없음: {error}",
      "chosen": "이 페이지 주소에서 지정함",
      "no_webrtc": "이 브라우저에 WebRTC가 없음",
      "no_codec": "이 브라우저는 WebRTC로 {codec} 영상을 받지 못함",
      "no_shared_codec": "이 브라우저는 WebRTC로 {codec} 영상을 받지 못함",
      "b_frames": "WebRTC는 B프레임을 재생하지 못함. 카메라를 Baseline 또는 B프레임 없는 Main으로 설정하세요",
      "webrtc_full": "WebRTC 자리 {limit}개가 모두 사용 중",
      "not_ready": "Porthole이 아직 WebRTC를 보낼 준비가 안 됨",
      "unknown_camera": "Porthole에 이 카메라가 더 이상 없음",
      "refused": "Porthole이 WebRTC를 거부함 (상태 {status})",
      "no_answer": "Porthole이 WebRTC 요청에 응답하지 않음",
      "bad_answer": "이 브라우저가 Porthole의 WebRTC 응답을 받아들이지 않음",
      "udp": "UDP {udp} 포트로 연결되지 않음",
      "udp_and_tcp": "UDP {udp} 포트로도 TCP {tcp} 포트로도 연결되지 않음",
      "nothing_sent": "WebRTC로 화면이 오지 않음",
      "not_shown": "이 브라우저가 WebRTC 화면을 표시하지 못함",
      "stalled": "WebRTC 화면이 멈춤",
      "broke_off": "WebRTC 연결이 끊어짐"
    },
    "fault": {
      "scheme_unsupported": {
        "what": "{scheme}:// 주소는 지원하지 않습니다",
        "fix": "카메라의 rtsp:// 주소를 사용하세요."
      },
      "name_unknown": {
        "what": "이 네트워크에서 {host}라는 이름을 찾을 수 없습니다",
        "fix": "이름을 확인하거나 카메라의 IP 주소를 사용하세요."
      },
      "no_route": {
        "what": "네트워크에서 카메라({host})로 가는 경로가 없습니다",
        "fix": "주소, 케이블, 네트워크 설정을 확인하세요."
      },
      "no_answer": {
        "what": "{host}의 {port}번 포트에서 응답이 없습니다",
        "fix": "카메라 전원, 케이블, 주소를 확인하세요."
      },
      "connection_refused": {
        "what": "{host}의 {port}번 포트에서 연결을 거부했습니다",
        "fix": "RTSP 포트와 카메라의 RTSP 사용 설정을 확인하세요."
      },
      "connect_failed": {
        "what": "카메라({host})에 연결하지 못했습니다",
        "fix": "주소와 네트워크를 확인하세요. 시스템 메시지: {detail}"
      },
      "not_rtsp": {
        "what": "{host}의 {port}번 포트는 RTSP가 아닙니다",
        "fix": "포트를 확인하세요. 보통 554입니다."
      },
      "no_reply": {
        "what": "카메라({host})가 {step} 요청에 응답하지 않습니다",
        "fix": "계속 시도합니다. 그래도 안 되면 카메라를 다시 시작하세요."
      },
      "connection_closed": {
        "what": "카메라({host})가 연결을 끊었습니다 ({step})",
        "fix": "자동으로 다시 연결합니다. 자주 일어나면 카메라의 케이블과 전원을 확인하세요."
      },
      "password_needed": {
        "what": "카메라({host})가 사용자 이름과 비밀번호를 요구합니다",
        "fix": "설정에 입력하세요."
      },
      "password_refused": {
        "what": "카메라({host})가 비밀번호를 거부했습니다",
        "fix": "설정의 사용자 이름과 비밀번호를 확인하세요. 카메라가 계정을 잠글 수 있어 3번 시도한 뒤에는 5분마다 한 번만 시도합니다."
      },
      "login_unsupported": {
        "what": "카메라({host})가 지원하지 않는 로그인 방식을 요구합니다",
        "fix": "카메라에서 Digest 또는 Basic 인증을 허용하세요."
      },
      "forbidden": {
        "what": "카메라({host})가 이 스트림을 허용하지 않습니다",
        "fix": "카메라에서 이 사용자에게 실시간 보기 권한을 주세요."
      },
      "path_not_found": {
        "what": "카메라에 {path} 경로가 없습니다",
        "fix": "카메라 설명서에서 경로를 확인하고 설정을 고치세요."
      },
      "session_limit": {
        "what": "{host}에 남은 접속 수가 없습니다 ({status})",
        "fix": "이 카메라를 보는 다른 프로그램을 닫거나 두 번째 스트림을 사용하세요."
      },
      "transport_refused": {
        "what": "카메라({host})는 {transport} 전송을 지원하지 않습니다",
        "fix": "설정에서 이 카메라의 전송 방식을 바꾸세요."
      },
      "status": {
        "what": "카메라({host})가 {step} 요청에 오류로 응답합니다 (상태 {status})",
        "fix": "계속 시도합니다. 그래도 안 되면 카메라를 다시 시작하세요."
      },
      "bad_answer": {
        "what": "{host}의 {step} 응답을 이해할 수 없습니다",
        "fix": "계속 시도합니다. 카메라 펌웨어를 업데이트하세요. 내용: {detail}"
      },
      "no_video": {
        "what": "{host}의 이 경로에는 영상이 없습니다",
        "fix": "설정의 경로와 카메라의 영상 설정을 확인하세요."
      },
      "video_unsupported": {
        "what": "카메라가 {codec} 형식으로 보냅니다",
        "fix": "H.264 또는 H.265가 필요합니다. 카메라에서 바꾸세요."
      },
      "no_picture": {
        "what": "연결됐지만 {seconds}초 동안 화면이 없습니다",
        "fix": "자동으로 다시 연결합니다. 그래도 안 되면 카메라를 다시 시작하세요."
      },
      "no_udp_packets": {
        "what": "{seconds}초 동안 UDP 패킷이 오지 않았습니다",
        "fix": "중간에 방화벽이 있나요? 가능하면 transport = \"tcp\"로 설정하세요."
      },
      "silent": {
        "what": "카메라가 {seconds}초 동안 아무것도 보내지 않았습니다",
        "fix": "자동으로 다시 연결합니다. 자주 일어나면 카메라의 케이블과 전원을 확인하세요."
      },
      "broken_stream": {
        "what": "카메라({host})가 잘못된 스트림을 보냅니다",
        "fix": "자동으로 다시 연결합니다. 내용: {detail}"
      },
      "small_udp_buffer": {
        "what": "UDP 패킷이 손실될 수 있습니다",
        "fix": "시스템 수신 버퍼는 {have}바이트인데 이 카메라의 키 프레임에는 약 {need}바이트가 필요합니다. net.core.rmem_default를 늘리거나 TCP를 사용하세요."
      },
      "long_gop": {
        "what": "키 프레임이 {seconds}초마다 한 번뿐입니다",
        "fix": "카메라에서 키 프레임 간격(GOP)을 1~2초로 설정하면 화면이 더 빨리 나옵니다."
      },
      "no_key_frame": {
        "what": "{seconds}초 동안 키 프레임이 없습니다",
        "fix": "카메라에서 인트라 리프레시를 끄고 키 프레임 간격을 1~2초로 설정하세요."
      },
      "huge_picture": {
        "what": "{bytes}바이트짜리 화면 하나를 버렸습니다",
        "fix": "최대 {limit}바이트까지 받습니다. 카메라에서 해상도나 비트레이트를 낮추세요."
      },
      "clock_jump": {
        "what": "카메라 시계가 갑자기 바뀝니다",
        "fix": "카메라의 시간 서버(NTP) 설정을 확인하세요."
      },
      "tmpfs_full": {
        "what": "영상용 메모리가 가득 찼습니다 ({path})",
        "fix": "공간이 생길 때까지 화면을 버립니다. 그곳의 다른 파일을 지우거나 카메라 수를 줄이세요."
      },
      "tmpfs_share_full": {
        "what": "이 카메라의 영상용 메모리 {megabytes} MB가 가득 찼습니다",
        "fix": "공간이 생길 때까지 화면을 버립니다. 카메라의 비트레이트를 낮추세요."
      },
      "slow_viewer_cut_off": {
        "what": "너무 느린 시청자의 연결을 끊었습니다",
        "fix": "시청자의 네트워크가 카메라의 비트레이트보다 느립니다. 비트레이트를 낮추세요. 세그먼트: {file_name}"
      },
      "segment_without_key_frame": {
        "what": "{seconds}초 동안 키 프레임이 없었습니다",
        "fix": "카메라에서 키 프레임 간격(GOP)을 1~2초로 설정하세요."
      },
      "segment_too_large": {
        "what": "세그먼트가 {megabytes} MB에 이르러 잘렸습니다",
        "fix": "카메라가 이 보드의 한도보다 많이 보냅니다. 비트레이트나 키 프레임 간격을 낮추세요."
      },
      "too_many_segments": {
        "what": "카메라의 타임스탬프가 잘못되었습니다",
        "fix": "1초에 열 번 넘게 바뀌어 화면을 잃습니다. 카메라를 다시 시작하거나 펌웨어를 업데이트하세요."
      },
      "queue_overflow": {
        "what": "화면 {units}개를 버렸습니다",
        "fix": "보드가 기록하는 속도보다 빨리 들어왔습니다. 비트레이트를 낮추거나 카메라 수를 줄이세요."
      },
      "files": {
        "what": "파일을 쓸 수 없습니다",
        "fix": "해결될 때까지 화면을 버립니다. 시스템 메시지: {error}"
      }
    }
  }
};
