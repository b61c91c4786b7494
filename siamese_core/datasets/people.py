"""Everybody of whom Labeled Faces in the Wild has at least 20 images."""

LFW_PEOPLE: tuple[tuple[str, int], ...] = (
    ("Alejandro_Toledo", 39), ("Alvaro_Uribe", 35), ("Amelie_Mauresmo", 21), ("Andre_Agassi", 36),
    ("Angelina_Jolie", 20), ("Ariel_Sharon", 77), ("Arnold_Schwarzenegger", 42), ("Atal_Bihari_Vajpayee", 24),
    ("Bill_Clinton", 29), ("Carlos_Menem", 21), ("Colin_Powell", 236), ("David_Beckham", 31),
    ("Donald_Rumsfeld", 121), ("George_Robertson", 22), ("George_W_Bush", 530), ("Gerhard_Schroeder", 109),
    ("Gloria_Macapagal_Arroyo", 44), ("Gray_Davis", 26), ("Guillermo_Coria", 30), ("Hamid_Karzai", 22),
    ("Hans_Blix", 39), ("Hugo_Chavez", 71), ("Igor_Ivanov", 20), ("Jack_Straw", 28), ("Jacques_Chirac", 52),
    ("Jean_Chretien", 55), ("Jennifer_Aniston", 21), ("Jennifer_Capriati", 42), ("Jennifer_Lopez", 21),
    ("Jeremy_Greenstock", 24), ("Jiang_Zemin", 20), ("John_Ashcroft", 53), ("John_Negroponte", 31),
    ("Jose_Maria_Aznar", 23), ("Juan_Carlos_Ferrero", 28), ("Junichiro_Koizumi", 60), ("Kofi_Annan", 32),
    ("Laura_Bush", 41), ("Lindsay_Davenport", 22), ("Lleyton_Hewitt", 41), ("Luiz_Inacio_Lula_da_Silva", 48),
    ("Mahmoud_Abbas", 29), ("Megawati_Sukarnoputri", 33), ("Michael_Bloomberg", 20), ("Naomi_Watts", 22),
    ("Nestor_Kirchner", 37), ("Paul_Bremer", 20), ("Pete_Sampras", 22), ("Recep_Tayyip_Erdogan", 30),
    ("Ricardo_Lagos", 27), ("Roh_Moo-hyun", 32), ("Rudolph_Giuliani", 26), ("Saddam_Hussein", 23),
    ("Serena_Williams", 52), ("Silvio_Berlusconi", 33), ("Tiger_Woods", 23), ("Tom_Daschle", 25), ("Tom_Ridge", 33),
    ("Tony_Blair", 144), ("Vicente_Fox", 32), ("Vladimir_Putin", 49), ("Winona_Ryder", 24),
)  # fmt: skip
"""Folder of the archive and number of images: 62 people, 3,023 images, in alphabetical order."""
