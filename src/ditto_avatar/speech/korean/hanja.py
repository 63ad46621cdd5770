"""Hanja by their Korean readings: those that newspapers, names and dictionaries use most.

Written by hand, because the packages that carry a whole table bring much else along. A character
that is not in the table is left out by `speech.scripts`, never spelt.
"""

from __future__ import annotations

import re

_TABLE = """
가:可家加歌價假街 각:各角覺 간:間干看 갑:甲 강:江強强講降康 개:開個改 객:客 거:去巨居車 건:建件健乾
검:檢劍
격:格 견:見犬 결:決結 경:京經景敬輕警境競慶 계:計界係季系契 고:高古苦告固考故 곡:曲谷 곤:困 골:骨
공:工空公功共
과:果科課過 관:關觀官管 광:光廣 교:校敎教交橋 구:九口區球究救舊具 국:國局 군:軍君郡 궁:宮 권:權券勸
귀:貴歸
규:規 균:均 극:極劇 근:近根勤 금:金今禁 급:急級給 기:氣記期基己技旗企器機 길:吉 나:那 난:難暖
남:南男
납:納 내:內 녀:女 년:年 념:念 노:努怒 농:農 뇌:腦 능:能 다:多 단:單短團段斷 달:達 담:談 답:答
당:當堂黨
대:大代對待帶隊 덕:德 도:道都度圖島到徒導 독:獨讀毒 동:東同動洞冬童銅 두:頭豆 득:得 등:等登燈 라:羅
락:落樂
란:亂卵 랑:浪郞 래:來 량:量良兩 려:旅麗 력:力歷 련:連練 렬:列烈 령:令領 례:例禮 로:路老勞露 록:綠錄
론:論
료:料 룡:龍 루:樓 류:流類柳 륙:六陸 륜:輪 률:律率 리:里理利李離 림:林 립:立 마:馬 만:萬滿 말:末
망:望亡
매:每買賣 맥:麥 면:面免 명:名明命 모:母毛模 목:木目 몽:夢 묘:妙 무:無武務舞 문:文門問聞 물:物
미:美米未味
민:民 밀:密 박:朴博 반:反半班 발:發 방:方放房防 배:配背 백:白百 번:番 벌:罰 범:犯範 법:法 변:變邊
별:別
병:兵病 보:報步保 복:福服復 본:本 봉:奉 부:父部夫富府不副 북:北 분:分 불:佛 비:比非飛備費秘悲 빈:貧
빙:氷
사:四事社使死史士師思寺 산:山算産 살:殺 삼:三 상:上相商常想賞 색:色 생:生 서:西書序 석:石夕
선:先線善船選鮮
설:說雪設 성:成城性姓星聖聲 세:世歲勢稅 소:小少所消素 속:速俗續 손:孫 송:送松 수:水手數首修受守秀
숙:宿
순:順純 술:術 습:習 승:勝承 시:時市始示詩試是視 식:食式識植 신:身信神新臣申 실:實室失 심:心深 십:十
씨:氏
아:兒亞 악:惡 안:安案眼 암:暗 압:壓 애:愛 액:液 야:野夜 약:藥約弱 양:陽洋養羊 어:語魚漁 억:億 언:言
업:業
여:與余 역:逆驛役 연:然硯演煙 열:熱 염:染 영:英永榮映 예:藝豫 오:五午 옥:玉屋 온:溫 완:完 왕:王
외:外
요:要 욕:浴 용:用勇容 우:友牛雨右宇 운:運雲 웅:雄 원:元原園員遠願院圓 월:月 위:位危爲偉 유:有由油遺
육:育肉
윤:尹 은:銀恩 을:乙 음:音飮陰 읍:邑 응:應 의:意衣醫義議 이:二以耳移異 익:益 인:人因印引仁 일:一日
임:任
입:入 자:子自字者資 작:作昨 잔:殘 장:長場章將 재:材財在才再災 쟁:爭 저:低貯 적:的赤敵積
전:全前電戰傳錢典
절:節切絶 점:點店 접:接 정:正政定情丁庭精停 제:第題祭制製弟 조:朝祖鳥調條早助 족:足族 존:存
종:終種宗 좌:左
죄:罪 주:主住州週注株 죽:竹 준:準 중:中重衆 즉:卽 증:增證 지:地知止紙支指志 직:直職 진:眞進陣 질:質
집:集
차:次差茶 착:着 찰:察 참:參 창:窓 책:責冊策 처:處妻 천:千天川 철:鐵 청:靑青淸請 체:體 초:初草
촌:村寸
총:銃總 최:最崔 추:秋追 축:祝 춘:春 출:出 충:忠蟲 취:取 치:治齒致 칠:七 침:針 쾌:快 타:他打 탁:卓
탄:炭
탐:探 태:太態泰 택:宅 토:土討 통:通統 퇴:退 투:投鬪 특:特 파:波破 판:板判 팔:八 패:敗 편:便片
평:平評 폐:閉
포:包砲 폭:暴 표:表票 품:品 풍:風豊 피:皮 필:必筆 하:下夏河 학:學鶴 한:韓漢寒限 합:合 항:港航
해:海害解
행:行幸 향:向香 허:許 헌:憲 험:險 혁:革 현:現賢 혈:血 협:協 형:兄形刑 혜:惠 호:號湖虎好 혼:婚混
홍:紅洪
화:火花話和化畫貨 확:確 환:環患 활:活 황:黃皇 회:會回灰 획:劃 효:孝效 후:後 훈:訓 휴:休 흑:黑 흥:興
희:希喜
"""
_READINGS = {
    character: reading
    for entry in _TABLE.split()
    for reading, _, characters in [entry.partition(":")]
    for character in characters
}
# Two letters in one sound; and what changes at the beginning of a word (두음법칙).
_AT_BEGINNING = {
    **dict(zip("녀년념뇨뉴니", "여연염요유이", strict=True)),
    **dict(
        zip(
            "랴려력련렬렴렵령례료룡류륙륜률륭리린림립",
            "야여역연열염엽영예요용유육윤율융이인임입",
            strict=True,
        )
    ),
    **dict(zip("라락란람랑래량로록론뢰루름릉", "나낙난남낭내양노녹논뇌누늠능", strict=True)),
}
# Surnames and words whose reading differs.
_WORDS = {
    "金": "김",
    "李": "이",
    "不動": "부동",
    "不正": "부정",
    "自轉車": "자전거",
    "北韓": "북한",
}
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
# A reading in brackets behind the word in Hangul says the same again: 학교(學校).
_GLOSS = re.compile("(?<=[가-힣])\\s?[(（][\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff, ·]+[)）]")


def read_hanja(text: str) -> str:
    """Put Hanja into Hangul; leave out those that only repeat the word before them."""
    text = _GLOSS.sub("", text)
    return _HAN.sub(lambda match: _read(match[0]), text)


def _read(run: str) -> str:
    if run in _WORDS:
        return _WORDS[run]
    for word, reading in _WORDS.items():
        if len(word) > 1:
            run = run.replace(word, reading)
    said = "".join(_READINGS.get(c, c if "가" <= c <= "힣" else "") for c in run)
    return _AT_BEGINNING.get(said[:1], said[:1]) + said[1:]
