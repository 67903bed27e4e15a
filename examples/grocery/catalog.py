"""What the shop sells: the products that the six services talk about.

A fixed table instead of a database, because the services exist to be discovered, balanced and broken, not to run a
shop. Prices here are base prices in cents; what a product costs right now is for `pricing.py` alone to say, which is
why everybody else has to ask it through the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Product:
    """One thing on the shelf; `unit` is what one of it is, `popular` marks what the cache warmer keeps warm."""

    sku: str
    name: str
    unit: str
    category: str
    base_cents: int
    popular: bool = False

    def document(self) -> dict[str, object]:
        """The product as JSON shows it: without a price, which is not this table's to tell."""
        return {"sku": self.sku, "name": self.name, "unit": self.unit, "category": self.category}


_SHELF = (
    Product("12345", "Whole milk", "1 gal", "dairy", 397, popular=True),
    Product("12346", "Large white eggs", "12 count", "dairy", 342, popular=True),
    Product("12347", "Salted butter", "1 lb", "dairy", 448, popular=True),
    Product("12348", "Plain Greek yogurt", "32 oz", "dairy", 532),
    Product("12349", "Sharp cheddar", "8 oz", "dairy", 298),
    Product("20001", "Chicken breast", "1 lb", "meat", 367, popular=True),
    Product("20002", "Ground beef", "1 lb", "meat", 612, popular=True),
    Product("20003", "Atlantic salmon", "1 lb", "meat", 1094),
    Product("30001", "Bananas", "1 lb", "produce", 58, popular=True),
    Product("30002", "Gala apples", "3 lb", "produce", 424),
    Product("30003", "Baby spinach", "10 oz", "produce", 318),
    Product("30004", "Yellow onions", "3 lb", "produce", 276),
    Product("30005", "Russet potatoes", "5 lb", "produce", 397, popular=True),
    Product("40001", "Sandwich bread", "20 oz", "bakery", 142, popular=True),
    Product("40002", "Flour tortillas", "10 count", "bakery", 218),
    Product("50001", "Long grain rice", "5 lb", "pantry", 312),
    Product("50002", "Black beans", "15 oz", "pantry", 86),
    Product("50003", "Spaghetti", "16 oz", "pantry", 98),
    Product("50004", "Ground coffee", "24 oz", "pantry", 1298),
    Product("50005", "Olive oil", "17 fl oz", "pantry", 744),
)

PRODUCTS = MappingProxyType({product.sku: product for product in _SHELF})
POPULAR = tuple(product.sku for product in _SHELF if product.popular)
