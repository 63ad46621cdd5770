"""Foreign words, letters, units and signs in Hangul."""

from __future__ import annotations

LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            "에이 비 씨 디 이 에프 지 에이치 아이 제이 케이 엘 엠 "
            "엔 오 피 큐 알 에스 티 유 브이 더블유 엑스 와이 제트"
        ).split(),
        strict=True,
    )
)

# The longest unit that fits is taken; case counts where it makes a difference.
UNITS = {
    "%p": "퍼센트포인트",
    "%": "퍼센트",
    "‰": "퍼밀",
    "°C": "도",
    "°F": "도",
    "°": "도",
    "km²": "제곱킬로미터",
    "m²": "제곱미터",
    "cm²": "제곱센티미터",
    "m³": "세제곱미터",
    "km": "킬로미터",
    "cm": "센티미터",
    "mm": "밀리미터",
    "nm": "나노미터",
    "m": "미터",
    "kg": "킬로그램",
    "mg": "밀리그램",
    "g": "그램",
    "t": "톤",
    "ha": "헥타르",
    "cc": "씨씨",
    "dL": "데시리터",
    "µL": "마이크로리터",
    "μL": "마이크로리터",
    "µm": "마이크로미터",
    "μm": "마이크로미터",
    "µg": "마이크로그램",
    "μg": "마이크로그램",
    "km³": "세제곱킬로미터",
    "cm³": "세제곱센티미터",
    "mm²": "제곱밀리미터",
    "km2": "제곱킬로미터",
    "m2": "제곱미터",
    "cm2": "제곱센티미터",
    "m3": "세제곱미터",
    "cm3": "세제곱센티미터",
    "hPa": "헥토파스칼",
    "kPa": "킬로파스칼",
    "Pa": "파스칼",
    "rpm": "알피엠",
    "ppm": "피피엠",
    "MW": "메가와트",
    "GW": "기가와트",
    "kV": "킬로볼트",
    "mA": "밀리암페어",
    "A": "암페어",
    "PB": "페타바이트",
    "dl": "데시리터",
    "kl": "킬로리터",
    "m/s": "미터 매 초",
    "mph": "마일",
    "inch": "인치",
    "ft": "피트",
    "lb": "파운드",
    "oz": "온스",
    "yd": "야드",
    "EUR": "유로",
    "JPY": "엔",
    "kL": "킬로리터",
    "mL": "밀리리터",
    "ml": "밀리리터",
    "L": "리터",
    "ℓ": "리터",
    "l": "리터",
    "kcal": "킬로칼로리",
    "cal": "칼로리",
    "TB": "테라바이트",
    "GB": "기가바이트",
    "MB": "메가바이트",
    "KB": "킬로바이트",
    "kB": "킬로바이트",
    "Gbps": "기가비피에스",
    "Mbps": "메가비피에스",
    "GHz": "기가헤르츠",
    "MHz": "메가헤르츠",
    "kHz": "킬로헤르츠",
    "Hz": "헤르츠",
    "kWh": "킬로와트시",
    "kW": "킬로와트",
    "W": "와트",
    "V": "볼트",
    "mAh": "밀리암페어시",
    "dB": "데시벨",
    "ms": "밀리초",
    "sec": "초",
    "s": "초",
    "min": "분",
    "h": "시간",
    "px": "픽셀",
    "fps": "프레임",
    "KRW": "원",
    "USD": "달러",
    "x": "배",
}
CURRENCIES = {"$": "달러", "₩": "원", "￦": "원", "€": "유로", "£": "파운드", "¥": "엔"}
SIGNS = {
    "+": "더하기",
    "×": "곱하기",
    "÷": "나누기",
    "=": "는",
    "&": "앤드",
    "@": "골뱅이",
    "#": "샵",
    "/": "슬래시",
    "<": "보다 작은",
    ">": "보다 큰",
    "≥": "이상",
    "≤": "이하",
    "±": "플러스 마이너스",
    "≈": "약",
}

# Names with digits or signs in them, lower case.
MIXED = {
    "gpt-4o": "지피티 포 오",
    "gpt-4": "지피티 포",
    "gpt-5": "지피티 파이브",
    "gpt-3.5": "지피티 삼 점 오",
    "h.264": "에이치 이육사",
    "h.265": "에이치 이육오",
    "mp3": "엠피쓰리",
    "mp4": "엠피포",
    "b2b": "비투비",
    "b2c": "비투씨",
    "2d": "투디",
    "3d": "쓰리디",
    "4k": "포케이",
    "5g": "파이브지",
    "a/s": "에이에스",
    "k-pop": "케이팝",
    "covid-19": "코로나 십구",
    "h2o": "에이치 투 오",
    "c#": "씨샵",
    "c++": "씨 플러스 플러스",
    "i/o": "아이오",
}
# Lower case; what is not here is spelt out when it is an abbreviation, and left otherwise.
WORDS = dict(
    pair.split(":")
    for pair in """
    ai:에이아이 api:에이피아이 app:앱 apple:애플 android:안드로이드 amazon:아마존 avatar:아바타
    audio:오디오 backup:백업 bank:뱅크 batch:배치 beta:베타 bluetooth:블루투스 blog:블로그
    browser:브라우저 bug:버그 bus:버스 button:버튼 cache:캐시 camera:카메라 card:카드 cat:캣
    chat:챗 chatgpt:챗지피티 check:체크 chrome:크롬 class:클래스 claude:클로드 click:클릭
    client:클라이언트 cloud:클라우드 coffee:커피 code:코드 color:컬러 computer:컴퓨터 cpu:씨피유
    css:씨에스에스 csv:씨에스브이 data:데이터 database:데이터베이스 debian:데비안 demo:데모
    desktop:데스크톱 digital:디지털 ditto:디토 docker:도커 download:다운로드 driver:드라이버
    email:이메일 e-mail:이메일 emoji:이모지 engine:엔진 error:에러 event:이벤트 excel:엑셀
    facebook:페이스북 fast:패스트 file:파일 folder:폴더 format:포맷 free:프리 game:게임
    github:깃허브 git:깃 gmail:지메일 google:구글 gpt:지피티 gpu:지피유 hello:헬로 hi:하이
    home:홈 html:에이치티엠엘 http:에이치티티피 https:에이치티티피에스 idea:아이디어 image:이미지
    instagram:인스타그램 internet:인터넷 ipad:아이패드 iphone:아이폰 it:아이티 java:자바
    javascript:자바스크립트 json:제이슨 key:키 keyboard:키보드 korea:코리아 kubernetes:쿠버네티스
    laptop:랩톱 link:링크 linux:리눅스 list:리스트 live:라이브 llama:라마 local:로컬
    localhost:로컬호스트 login:로그인 logo:로고 mac:맥 make:메이크 map:맵 message:메시지
    meeting:미팅 memory:메모리 menu:메뉴 microsoft:마이크로소프트 mode:모드 model:모델
    monitor:모니터 mouse:마우스 movie:무비 music:뮤직 netflix:넷플릭스 network:네트워크 news:뉴스
    no:노 note:노트 npm:엔피엠 nvidia:엔비디아 ok:오케이 okay:오케이 ollama:올라마 online:온라인
    open:오픈 openai:오픈에이아이 orange:오렌지 page:페이지 party:파티 password:패스워드 pc:피씨
    pdf:피디에프 photo:포토 phone:폰 pip:핍 play:플레이 plus:플러스 podcast:팟캐스트 port:포트
    print:프린트 pro:프로 program:프로그램 project:프로젝트 python:파이썬 pytorch:파이토치
    queue:큐 quiz:퀴즈 radio:라디오 ram:램 render:렌더 report:리포트 robot:로봇 run:런
    samsung:삼성 sample:샘플 screen:스크린 script:스크립트 seoul:서울 serve:서브 server:서버
    service:서비스 session:세션 set:세트 shop:숍 slack:슬랙 smart:스마트 smartphone:스마트폰
    sms:에스엠에스 software:소프트웨어 sound:사운드 speaker:스피커 sql:에스큐엘 star:스타
    start:스타트 stop:스톱 store:스토어 stream:스트림 style:스타일 system:시스템 tag:태그
    team:팀 tensorrt:텐서알티 test:테스트 text:텍스트 token:토큰 total:토털 tv:티브이
    twitter:트위터 type:타입 ubuntu:우분투 ui:유아이 update:업데이트 upload:업로드
    url:유알엘 usb:유에스비 user:유저 version:버전 video:비디오 vip:브이아이피 virtual:버추얼
    vllm:브이엘엘엠 voice:보이스 web:웹 website:웹사이트 websocket:웹소켓 wifi:와이파이
    wi-fi:와이파이 window:윈도 windows:윈도우 word:워드 world:월드 yes:예스 youtube:유튜브
    zip:집 zoom:줌 node.js:노드제이에스 env:이엔브이
    """.split()
)
