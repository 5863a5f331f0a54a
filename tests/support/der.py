"""DER by hand: enough to build any request, well-formed or hostile. Written against X.690, not against Assay's code."""


def tlv(tag, *parts):
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def seq(*parts):
    return tlv(0x30, *parts)


def set_of(*parts):
    return tlv(0x31, *sorted(parts))


def context(number, *parts, constructed=True):
    return tlv((0xA0 if constructed else 0x80) | number, *parts)


def integer(value):
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value):
    return tlv(0x04, value)


def bits(value, unused=0):
    return tlv(0x03, bytes([unused]) + value)


def boolean(value):
    return tlv(0x01, b"\xff" if value else b"\x00")


def utf8(text):
    return tlv(0x0C, text.encode())


def printable(text):
    return tlv(0x13, text.encode("ascii"))


def ia5(text):
    return tlv(0x16, text.encode("ascii"))


def oid(dotted):
    arcs = [int(arc) for arc in dotted.split(".")]
    out = bytearray()
    for arc in [arcs[0] * 40 + arcs[1]] + arcs[2:]:
        group = [arc & 0x7F]
        while arc := arc >> 7:
            group.append(0x80 | (arc & 0x7F))
        out += bytes(reversed(group))
    return tlv(0x06, bytes(out))


NULL = tlv(0x05)
EMPTY_NAME = seq()

CN, SERIAL_NUMBER = "2.5.4.3", "2.5.4.5"


def name(*attributes, string=utf8):
    """A Name of one attribute a RDN: name((CN, "x"))."""
    return seq(*(set_of(seq(oid(kind), string(value))) for kind, value in attributes))


def attribute(dotted, *values):
    return seq(oid(dotted), set_of(*values))


def extension(dotted, value, critical=False):
    return seq(oid(dotted), *([boolean(True)] if critical else []), octets(value))
