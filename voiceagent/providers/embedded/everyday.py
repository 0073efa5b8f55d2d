"""Everyday words that mean nothing to a flow unless it names them. Other speech sounds like some of these."""

from typing import Final

EVERYDAY: Final = tuple(
    """
    a able about according across action actually add after age ago air airplane all allow along already also although
    an and animal any anything appear are area arm around art as at baby back be because been before behind better
    birthday body book both bottle boy brother build business but buy by came can car care case change chicken child
    city class coffee college come community company computer consider control could course create cut dance daughter
    day death decide decision develop development did die difference dinner do doctor door drug early economic
    education effect effort elephant else end enough even everything expect experience explain eye face fact fall
    father field finally first follow food foot football for force former free friend from game garden garlic get girl
    give go good got government ground guy had hand hard has have he head health heart her him himself his history
    holiday home hope hospital hour house how human i idea if in including information interest international into is
    issue it its job just kid kill kind kitchen know late law lead leader less letter level life light like line little
    local look lot love made major make man market maybe me member military mind minute moment money monkey month
    morning most mother mountain movie music my name nation new night no not nothing now number ocean of off offer
    office oh on one only or orange other others our out over parent part party pass people perhaps person phone piano
    picture place plan point police policy possible power president price probably process program public pull purple
    question rainy raise rate reach read reason relationship remain remember report require research result return
    right river road role room said say season second see sell send sense serve service she show side sister six so
    social some someone sometimes son speak spend station stay stop story strong study such suggest summer sunny sure
    system table take teacher team than thank that the their them themselves then there these they think this ticket
    time to together toward town train tree true two uncle up us use vacation value view violin voice wait want war was
    watch water way we weather week well went were what when whether which who whole wife will window winter with woman
    word work world would year yellow you your
    """.split()  # noqa: SIM905 - prose
)
