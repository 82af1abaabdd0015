// Characters: who stands there, in which pose, place, size and material, and with which number in the stencil.
#pragma once

#include "CoreMinimal.h"
#include "Materials/MaterialInterface.h"
#include "UObject/StrongObjectPtr.h"
#include "UObject/WeakObjectPtr.h"

#include <string>

#include "TmvGltfFolder.h"
#include "TmvShown.h"
#include "TmvTables.h"

class AActor;
class FTmvWorlds;
class UDataTable;
class UMeshComponent;
class UObject;
class UWorld;

class FTmvCharacters
{
public:
	/** The prefix of a character's factors: Character, Character2, Character3, … */
	static std::string Prefix(int32 Number);
	/** The factor of its place: Character1_Pos, Character2_Pos; further ones have none and stand at locations. */
	static std::string PlaceWire(int32 Number);

	FTmvRefusal Apply(UWorld& World, const FTmvWorlds& Worlds, const UDataTable& Characters, const UDataTable* Textures,
		const FTmvGltfFolder& Gltf, const tmv::Value& Levels, int32 Most, tmv::Value& OutShown);
	void Clear();
	/** Moves all characters along their noses, in centimetres from where they stand: what motion blur is made of. */
	void Shift(double Way);
	/** Class of each character by its number minus one. */
	const TArray<uint16>& Classes() const { return ClassIds; }

private:
	struct FCharacter
	{
		FString Name, Texture;
		TWeakObjectPtr<AActor> Actor;
		TWeakObjectPtr<UMeshComponent> Mesh;
		TWeakObjectPtr<UObject> Asset;
		TArray<TStrongObjectPtr<UMaterialInterface>> Own;
		FTmvCharacterRow Row;
		FTransform Standing;
	};

	FTmvRefusal Spawn(UWorld& World, FCharacter& Character, int32 Number, const FString& Name, const UDataTable& Table,
		const FTmvGltfFolder& Gltf);
	FTmvRefusal Dress(FCharacter& Character, const FString& Texture, const UDataTable* Table);
	static FTmvRefusal Place(FCharacter& Character, const FTmvWorlds& Worlds, const tmv::Value& Levels,
		const std::string& Prefix, int32 Spot, double BelowScale);
	static void Remove(FCharacter& Character);

	TArray<FCharacter> All;
	TArray<uint16> ClassIds;
};
