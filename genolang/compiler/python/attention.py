"""2D relative self-attention in the generated Python; the counterpart of `torch_attention`."""

RELATIVE_ATTENTION = '''class RelativeAttention(nn.Module):
    """Queries, keys and values (B, 2 * key + value, H, W) to (B, value, H, W)."""

    def __init__(self, key: int, heads: int, height: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_height = nn.Parameter(torch.empty(2 * height - 1, key // heads))
        self.relative_width = nn.Parameter(torch.empty(2 * width - 1, key // heads))
        nn.init.normal_(self.relative_height, std=(key // heads) ** -0.5)
        nn.init.normal_(self.relative_width, std=(key // heads) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        return relative_attention(x, self.heads, self.relative_height, self.relative_width)


def relative_attention(x: Tensor, heads: int, by_height: Tensor, by_width: Tensor) -> Tensor:
    """2D relative attention of (B, 2 * key + value, H, W), with a table of distances by each side."""
    height, width = x.shape[2:]
    wide = heads * by_height.shape[1]
    parts = x.split([wide, wide, x.shape[1] - 2 * wide], dim=1)
    q, k, v = (p.unflatten(1, (heads, -1)).flatten(3).mT for p in parts)
    q = q * q.shape[3] ** -0.5
    grid = q.unflatten(2, (height, width))
    # The bias of a key is one number by its row and one by its column: behind the
    # query these numbers, behind the key ones at its places, give it without a map
    # of all pairs.
    below = relative(by_height, height)
    right = relative(by_width, width)
    by_row = torch.einsum("bnyxd,yzd->bnyxz", grid, below)
    by_column = torch.einsum("bnyxd,xwd->bnyxw", grid, right)
    place = torch.arange(height * width, device=x.device)
    rows = F.one_hot(place // width, height)
    columns = F.one_hot(place % width, width)
    places = torch.cat([rows, columns], 1).to(x.dtype).expand(*k.shape[:2], -1, -1)
    q = torch.cat([q, torch.cat([by_row, by_column], 4).flatten(2, 3)], 3)
    k = torch.cat([k, places], 3)
    padded = F.pad(v, (0, max(0, k.shape[3] - v.shape[3])))
    y = F.scaled_dot_product_attention(q, k, padded, scale=1.0)[..., : v.shape[3]]
    return y.mT.flatten(1, 2).unflatten(2, (height, width))


torch.fx.wrap("relative_attention")


def relative(table: Tensor, length: int) -> Tensor:
    """(L, L, d): the row of a table for the distance from one place to another."""
    if 2 * length - 1 > table.shape[0]:
        most = (table.shape[0] + 1) // 2
        raise ValueError(f"made for sides of up to {most}, not {length}")
    place = torch.arange(length, device=table.device)
    return table[place[None, :] - place[:, None] + table.shape[0] // 2]
'''
